import ArgumentParser
import ReplFailover
import ReplIO
import ReplService
import ReplStandby

/// Verifies a standby.
struct VerifyCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "verify",
    abstract: "Prove that the standby of a VM holds what its disks hold, byte for byte.",
    discussion: """
      With --source: a receiver cannot dial, so this leaves a request that the next pass of the VM's sender
      carries out. After its commit both sides read all of their disks again, believing no map, no hint and no
      cache, and sign what they found. The statement is kept at both sides (statements/ in the state
      directory); `repl-receiver statement check FILE` checks one.

      Ends with 0 when all disks are identical, 1 when one differs (the standby is suspect from then on), 65
      when nothing is proven, 74 when that is because a disk cannot be read.
      """)

  @OptionGroup var option: ConfigOption

  @Argument(help: "The VM: its name, its UUID, or the name of its folder in the store.")
  var vm: String

  @Flag(help: "Read the source and the standby in full, with the next pass.")
  var source = false

  @Flag(help: "With --source: leave the request and end.")
  var noWait = false

  @Flag(help: "Print the result as JSON.")
  var json = false

  func validate() throws {
    if !source { throw ValidationError("only --source is there") }
  }

  func run() async throws {
    let config = try option.load()
    try await Failure.explaining {
      let state = try StateDirectory.open(path: config.stateDirectory)
      let receiver = try ReceiverIdentity.loadOrMake(in: state.directory)
      let stores = try Stores.openSome(config, state: state.directory, receiver: receiver).map(\.store)
      let found = try StandbySearch(stores: stores).find(vm)
      try await SourceProof.request(found, json: json, waits: !noWait, showsProgress: !json)
    }
  }
}
