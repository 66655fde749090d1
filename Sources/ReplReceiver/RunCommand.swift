import ArgumentParser
import ReplIO
import ReplModel
import ReplService
import ReplStandby
import ReplTLS

/// Receives, as a daemon.
struct RunCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "run", abstract: "Receive: listen for senders until SIGTERM.")

  @OptionGroup var option: ConfigOption

  func run() async throws {
    let config = try option.load()
    TLSRuntime.prepareProcess()
    let output = LogOutput.standardError(level: config.logLevel)
    let runtime: ReceiverRuntime
    do {
      runtime = try ReceiverRuntime(config: config, output: output)
    } catch let error as StateDirectoryError {
      throw Failure.exit(error.exitCode, "\(error)")
    } catch let error as TLSError {
      throw Failure.exit(.config, "\(error)")
    } catch let error as StandbyError {
      throw Failure.exit(.inputOutput, "\(error)")
    } catch { throw Failure.exit(.inputOutput, "\(error)") }
    try await ReceiverDaemon(runtime: runtime).run()
  }
}
