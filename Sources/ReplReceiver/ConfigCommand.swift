import ArgumentParser
import ReplModel
import ReplService
import ReplStandby

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
      let stores = config.stores.map { "\($0.name) at \($0.path)" }.joined(separator: ", ")
      print(
        "\(option.config): fine: listens on \(config.listen), \(config.peers.count) peer(s), "
          + "stores: \(stores)"
      )
      for note in config.notes(pointLimit: Limits.points) { print("note: \(SafeText.printable(note))") }
    }
  }
}
