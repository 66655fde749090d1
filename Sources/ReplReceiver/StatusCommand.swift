import ArgumentParser
import Glibc
import ReplIO
import ReplModel
import ReplPass
import ReplService

/// Shows every VM: from the daemon when it runs, else from what it kept on disk.
struct StatusCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "status",
    abstract: "Show every VM: state, newest recovery point, lag, last pass, last error.")

  @OptionGroup var option: ConfigOption

  @Flag(help: "Print JSON.")
  var json = false

  func run() async throws {
    let config = try option.load()
    let document = try await fetch(config)
    let now = SystemTime().wallTime()
    if json {
      do throws(StatusJSONError) {
        print(String(decoding: try StatusJSON.encode(document, now: now), as: UTF8.self), terminator: "")
      } catch { throw Failure.exit(.badData, "\(error)") }
    } else {
      print(StatusTable.render(document, now: now))
    }
  }

  private func fetch(_ config: ReceiverConfig) async throws -> StatusDocument {
    if let http = config.http {
      do throws(StatusClientError) {
        if let document = try await StatusClient.fetch(from: http) { return document }
      } catch { throw Failure.exit(.peerUnavailable, "\(error)") }
    }
    do {
      let state = try StateDirectory.open(path: config.stateDirectory)
      let board = try StatusBoard(directory: try state.directory.createDirectory("status"))
      return StatusDocument(
        role: .receiver, version: ProductVersion.current, daemonRunning: false,
        generatedAt: SystemTime().wallTime(), vms: board.all)
    } catch let error as StateDirectoryError {
      throw Failure.exit(error.exitCode, "\(error)")
    } catch { throw Failure.exit(.inputOutput, "\(error)") }
  }
}
