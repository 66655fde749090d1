import ArgumentParser
import ReplService

/// Proves that a standby is what its source holds.
struct VerifyCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "verify",
    abstract: "Prove that the standby of a VM holds what its disks hold, byte for byte.",
    discussion: """
      Runs one pass of the VM now, as run --once does. After its commit both sides read all of their disks
      again, believing no map, no hint and no cache, and sign what they found. The statement is kept at both
      sides (statements/ in the state directory); `repl-sender statement check FILE` checks one.
      Reading takes its time, and the VM gets no other recovery point meanwhile.

      Ends with 0 when all disks are identical, 1 when one differs, 65 when nothing is proven, 74 when that is
      because a disk cannot be read.
      While the daemon runs, ask at the receiver instead (repl-receiver verify VM --source): the daemon's next
      pass ends with the proof.
      """)

  @OptionGroup var option: ConfigOption

  @Argument(help: "The VM, by name, VMX path or UUID.")
  var vm: String

  @Flag(help: "Read the source and the standby in full. The only way in which a sender can verify.")
  var source = false

  @Flag(help: "Print the result as JSON.")
  var json = false

  @Flag(help: "Show a progress bar. The default on a terminal.")
  var progress = false

  func validate() throws {
    if !source {
      throw ValidationError(
        "a sender verifies only with --source; `repl-receiver verify` compares a standby with its digest map")
    }
  }

  func run() async throws {
    let runtime = try RunCommand.makeRuntime(try option.load(), level: .critical)
    try await OncePasses(runtime: runtime, only: vm, json: json, showsProgress: progress, proves: true).run()
  }
}
