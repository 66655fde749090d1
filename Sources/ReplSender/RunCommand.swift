import ArgumentParser
import Glibc
import Logging
import ReplIO
import ReplModel
import ReplPass
import ReplService
import ReplTLS

/// Runs passes: as a daemon at their intervals, or once.
struct RunCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "run", abstract: "Replicate: all VMs at their intervals, or each once with --once.",
    discussion: """
      SIGHUP (`systemctl reload repl-sender`) reads the configuration again: limits of bandwidth hold at once,
      also for passes that run; VMs, folders, their values and the log level follow. What needs a restart is
      named in the log and in `status`. A configuration that is wrong changes nothing.
      """)

  @OptionGroup var option: ConfigOption

  @Flag(help: "Run one pass of each VM (or of the one named) and end; for cron and by hand.")
  var once = false

  @Argument(help: "With --once: only this VM, by name, VMX path or UUID.")
  var vm: String?

  @Flag(help: "With --once: print the result as JSON.")
  var json = false

  @Flag(help: "With --once: show a progress bar. The default on a terminal.")
  var progress = false

  func validate() throws {
    if !once && (vm != nil || json || progress) {
      throw ValidationError("VM, --json and --progress go with --once")
    }
  }

  func run() async throws {
    let config = try option.load()
    // With --once every result is a sentence on the terminal already.
    let runtime = try Self.makeRuntime(config, level: once ? .critical : config.logLevel)
    if once {
      try await OncePasses(runtime: runtime, only: vm, json: json, showsProgress: progress).run()
    } else {
      try await SenderDaemon(runtime: runtime, configPath: option.config).run()
    }
  }

  /// What passes need, with the errors of a command.
  static func makeRuntime(_ config: SenderConfig, level: Logger.Level) throws -> SenderRuntime {
    TLSRuntime.prepareProcess()
    OpenFiles.raiseLimit()
    do {
      return try SenderRuntime(config: config, output: LogOutput.standardError(level: level))
    } catch let error as StateDirectoryError {
      throw Failure.exit(error.exitCode, "\(error)")
    } catch let error as TLSError {
      throw Failure.exit(.config, "\(error)")
    } catch { throw Failure.exit(.inputOutput, "\(error)") }
  }
}
