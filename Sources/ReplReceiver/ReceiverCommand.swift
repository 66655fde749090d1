import ArgumentParser
import ReplService

/// `repl-receiver`: the DR site.
@main
struct ReceiverCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "repl-receiver",
    abstract: "Keeps cold standby copies of VMware virtual machines at a second site: the receiving side.",
    discussion: """
      First use: `repl-receiver init --store PATH`, put the fingerprint that it prints into the sender's
      configuration
      and the sender's into this one, then `repl-receiver config check` and `repl-receiver run`.

      Exit codes:
      \(ReplService.ExitCode.helpText)
      """,
    version: ProductVersion.current,
    subcommands: [
      InitCommand.self, FingerprintCommand.self, ConfigCommand.self, RunCommand.self, StatusCommand.self,
      FailoverCommand.self, PointsCommand.self, DiskCommand.self, VerifyCommand.self, StatementCommand.self,
      AdoptCommand.self, ReseedCommand.self, StorageCommand.self,
    ])
}

/// Where the configuration is.
struct ConfigOption: ParsableArguments {
  @Option(name: .long, help: "The configuration file.")
  var config = "/etc/vmrepl/receiver.yaml"

  /// Reads and checks it; prints every problem and ends with 78 when there is one.
  func load() throws -> ReceiverConfig {
    do throws(ConfigError) {
      return try ReceiverConfig.load(path: config)
    } catch { throw Failure.exit(.config, "\(error)") }
  }
}

/// Where the state directory is, for commands that work without a complete configuration.
struct StateOption: ParsableArguments {
  @Option(name: .long, help: "The configuration file that names the state directory.")
  var config: String?

  @Option(name: .long, help: "The state directory, instead of the configuration's.")
  var stateDir: String?

  func path() throws -> String {
    if let stateDir { return stateDir }
    guard let config else { return "/var/lib/repl-receiver" }
    do throws(ConfigError) {
      return try ReceiverConfig.load(path: config).stateDirectory
    } catch { throw Failure.exit(.config, "\(error)") }
  }
}
