import ArgumentParser
import ReplService

/// `config check`.
struct ConfigCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "config", abstract: "Work with the configuration.", subcommands: [Check.self])

  struct Check: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Check the configuration: every problem with line and column, 78 when there is one.")

    @OptionGroup var option: ConfigOption

    func run() throws {
      let config = try option.load()
      print("\(option.config): fine: \(config.vms.count) VM(s), receiver \(config.receiver.address)")
    }
  }
}
