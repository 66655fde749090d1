import ArgumentParser
import ReplIO
import ReplModel
import ReplPass
import ReplService
import ReplSource

/// `forget`: a VM that is gone for good leaves the status.
struct ForgetCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "forget",
    abstract: "Take a VM that is gone out of the status. Its standby at the receiver stays as it is.")

  @OptionGroup var option: ConfigOption

  @Argument(help: "The VM, by name or UUID.")
  var vm: String

  @Flag(help: "Do not ask.")
  var yes = false

  func run() async throws {
    let config = try option.load()
    try await Failure.explaining {
      let state = try StateDirectory.open(path: config.stateDirectory)
      let store = GoneVMs(state: state.directory)
      let board = try StatusBoard(directory: try state.directory.createDirectory("status"))
      let gone = store.load().values.filter { matches($0, board) }
      guard let victim = gone.first, gone.count == 1 else { throw unclear(Array(gone)) }
      let name = SafeText.printable(board[victim.vm]?.name ?? victim.name)
      Terminal.say("\(name) (\(victim.vm)): \(victim.cause)\n")
      Terminal.say("the sender forgets it: it leaves the status and raises no alarm any more\n")
      try Confirmation.ask(yes, "nothing was changed")
      try store.forget(victim.vm)
      try HintShelf(state: state.directory).forget(victim.vm)
      try board.remove(victim.vm)
      try PassHistory(directory: try state.directory.createDirectory("history")).remove(victim.vm)
      Terminal.say("forgotten; a running daemon notices within \(Int(config.rescanSeconds)) s\n")
    }
  }

  private func matches(_ gone: GoneVM, _ board: StatusBoard) -> Bool {
    VMID(vm) == gone.vm || vm == gone.name || vm == board[gone.vm]?.name
  }

  private func unclear(_ gone: [GoneVM]) -> any Error {
    let shown = SafeText.printable(vm)
    guard gone.isEmpty else {
      return Failure.exit(.usage, "several VMs that are gone are called \(shown): name one by its UUID")
    }
    return Failure.exit(
      .usage,
      "no VM that is gone is called \(shown): `repl-sender status` shows which are; one that is still there "
        + "leaves by the configuration")
  }
}
