import ArgumentParser
import ReplService

/// `repl-sender`: the primary site.
@main
struct SenderCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "repl-sender",
    abstract: "Keeps cold standby copies of VMware virtual machines at a second site: the sending side.",
    discussion: """
      First use: `repl-sender init`, put the fingerprint that it prints into the receiver's configuration
      and the receiver's into this one, then `repl-sender config check` and `repl-sender run`.
      `repl-sender discover` shows the VMs in watched folders, `repl-sender inspect` what one is made of.

      Exit codes:
      \(ReplService.ExitCode.helpText)
      """,
    version: ProductVersion.current,
    subcommands: [
      InitCommand.self, FingerprintCommand.self, ConfigCommand.self, InspectCommand.self,
      DiscoverCommand.self,
      RunCommand.self, StatusCommand.self, ForgetCommand.self, VerifyCommand.self, StatementCommand.self,
      HintCommand.self,
    ])
}

/// Where the configuration is.
struct ConfigOption: ParsableArguments {
  @Option(name: .long, help: "The configuration file.")
  var config = "/etc/vmrepl/sender.yaml"

  /// Reads and checks it; prints every problem and ends with 78 when there is one.
  func load() throws -> SenderConfig {
    do throws(ConfigError) {
      return try SenderConfig.load(path: config)
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
    guard let config else { return "/var/lib/repl-sender" }
    do throws(ConfigError) {
      return try SenderConfig.load(path: config).stateDirectory
    } catch { throw Failure.exit(.config, "\(error)") }
  }
}
