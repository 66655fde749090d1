import ArgumentParser
import Glibc
import ReplCommand
import ReplModel
import ReplService
import ReplSource

/// `config check`.
struct ConfigCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "config", abstract: "Work with the configuration.", subcommands: [Check.self])

  struct Check: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Check the configuration: every problem with line and column, 78 when there is one.",
      discussion:
        "Prints what was understood of VMs, folders and freezing, and warns of paths that are not there.")

    @OptionGroup var option: ConfigOption

    func run() throws {
      let config = try option.load()
      for warning in ConfigReport.warnings(config) { Terminal.complain("warning: \(warning)\n") }
      for line in ConfigReport.lines(config) { Terminal.say("\(line)\n") }
      let folders = config.folders.isEmpty ? "" : ", \(config.folders.count) folder(s)"
      Terminal.say(
        "\(option.config): fine: \(config.vms.count) VM(s)\(folders), receiver \(config.receiver.address)\n")
    }
  }
}
