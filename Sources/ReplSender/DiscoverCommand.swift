import ArgumentParser
import FoundationEssentials
import ReplIO
import ReplModel
import ReplService
import ReplSource

/// `discover`: what the watched folders hold.
struct DiscoverCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "discover",
    abstract:
      "Show what the watched folders hold: which VMs are protected, found, excluded or not protectable.")

  @OptionGroup var option: ConfigOption

  @Flag(help: "Print JSON.")
  var json = false

  func run() async throws {
    let config = try option.load()
    guard !config.folders.isEmpty else {
      throw Failure.exit(
        .config,
        "\(option.config): no folder is watched; write for example: folders: [{path: /srv/datastore1}]")
    }
    try await Failure.explaining {
      let state = try StateDirectory.open(path: config.stateDirectory)
      let report = try await NamedThread.run("find") { Discovery.look(config, state: state.directory) }
      Terminal.say(try json ? report.jsonText : report.text)
      if !report.problems.isEmpty {
        for problem in report.problems { Terminal.complain("repl-sender: \(problem)\n") }
        throw Failure.silent(.failed)
      }
    }
  }
}
