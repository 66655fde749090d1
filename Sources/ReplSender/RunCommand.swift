import ArgumentParser
import Glibc
import ReplIO
import ReplModel
import ReplPass
import ReplService
import ReplTLS

/// Runs passes: as a daemon at their intervals, or once.
struct RunCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "run", abstract: "Replicate: all VMs at their intervals, or each once with --once.")

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
    TLSRuntime.prepareProcess()
    OpenFiles.raiseLimit()
    // With --once every result is a sentence on the terminal already.
    let output = LogOutput.standardError(level: once ? .critical : config.logLevel)
    let runtime: SenderRuntime
    do {
      runtime = try SenderRuntime(config: config, output: output)
    } catch let error as StateDirectoryError {
      throw Failure.exit(error.exitCode, "\(error)")
    } catch let error as TLSError {
      throw Failure.exit(.config, "\(error)")
    } catch { throw Failure.exit(.inputOutput, "\(error)") }
    if once {
      try await OncePasses(runtime: runtime, only: vm, json: json, showsProgress: progress).run()
    } else {
      try await SenderDaemon(runtime: runtime).run()
    }
  }
}
