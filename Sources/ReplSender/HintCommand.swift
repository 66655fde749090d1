import ArgumentParser
import ReplIO
import ReplModel
import ReplPass
import ReplService
import ReplSource

/// `hint`: what an operator has to say about change hints.
struct HintCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "hint", abstract: "Change hints: what to do when one was found wrong.",
    subcommands: [HintTrustCommand.self])
}

/// `hint trust`: hints that were found wrong are used again.
struct HintTrustCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "trust",
    abstract: "Use the change hints of a VM again, after one of them was found wrong.",
    discussion: """
      A hint that called changed bytes unchanged is not used again for its disk: every pass reads all of it,
      which is right and slow. See first what was wrong with its source: the command, the clock, the storage.
      The same goes for a storage that called bytes a hole that hold something: then holes are read as well.
      The VM's next pass goes by hints and holes again. A running daemon notices by itself.
      """)

  @OptionGroup var option: ConfigOption

  @Argument(help: "The VM, by name or UUID.")
  var vm: String

  func run() async throws {
    let config = try option.load()
    try await Failure.explaining {
      let state = try StateDirectory.open(path: config.stateDirectory)
      let board = try StatusBoard(directory: try state.directory.createDirectory("status"))
      let known = board.all.filter { $0.vm == VMID(vm) || $0.name == vm }
      guard let victim = known.first, known.count == 1 else {
        let shown = SafeText.printable(vm)
        throw Failure.exit(
          .usage,
          known.isEmpty
            ? "no VM is called \(shown): `repl-sender status` shows which there are"
            : "several VMs are called \(shown): name one by its UUID")
      }
      let name = SafeText.printable(victim.name)
      let slots = try HintShelf(state: state.directory).trust(victim.vm)
      guard let slots else {
        Terminal.say("\(name): what was distrusted could not be read; all hints are used again\n")
        return
      }
      let list = slots.map { "\($0)" }.joined(separator: ", ")
      Terminal.say(slots.isEmpty ? "\(name): no hint was distrusted\n" : "\(name): used again for \(list)\n")
    }
  }
}
