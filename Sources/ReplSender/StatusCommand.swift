import ArgumentParser
import ReplIO
import ReplModel
import ReplPass
import ReplService

/// Shows every VM: from the daemon when it runs, else from what it kept on disk.
struct StatusCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "status",
    abstract: "Show every VM: state, newest recovery point, lag, last pass, last error.",
    discussion: "While the daemon runs it also says which RPO will be missed, before it is, and what passes "
      + "wait for: freeze, source-read, digest, codec, link or target-write.")

  @OptionGroup var option: ConfigOption

  @Flag(help: "Print JSON.")
  var json = false

  func run() async throws {
    try await Failure.explaining {
      let document = try await document()
      Terminal.say(try StatusReport.text(document, json: json, now: SystemTime().wallTime()))
    }
  }

  private func document() async throws -> StatusDocument {
    let loaded: Result<SenderConfig, ConfigError>
    do throws(ConfigError) { loaded = .success(try SenderConfig.load(path: option.config)) } catch {
      loaded = .failure(error)
    }
    switch loaded {
    case .success(let config): return try await Self.document(config)
    case .failure(let problem): return try await document(despite: problem)
    }
  }

  /// A daemon may run with the configuration of before, and needs watching all the more.
  private func document(despite problem: ConfigError) async throws -> StatusDocument {
    guard let document = await Self.documentOfDaemon(despite: option.config) else {
      throw Failure.exit(.config, "\(problem)")
    }
    Terminal.complain("warning: the configuration is wrong, and the daemon goes on with the one of before\n")
    Terminal.complain("\(problem)\n")
    return document
  }

  private static func documentOfDaemon(despite path: String) async -> StatusDocument? {
    guard let address = SenderConfig.statusAddress(path: path) else { return nil }
    // Whatever keeps it from answering: what is wrong with the configuration says more.
    guard let document = try? await StatusClient.fetch(from: address), document.role == .sender else {
      return nil
    }
    return document
  }

  private static func document(_ config: SenderConfig) async throws -> StatusDocument {
    if let http = config.http {
      do throws(StatusClientError) {
        if let document = try await StatusClient.fetch(from: http) { return document }
      } catch { throw Failure.explain(error) }
    }
    return try offline(config)
  }

  private static func offline(_ config: SenderConfig) throws -> StatusDocument {
    let state = try StateDirectory.open(path: config.stateDirectory)
    let board = try StatusBoard(directory: try state.directory.createDirectory("status"))
    let roster = Roster(config, directory: state.directory, time: SystemTime())
    roster.look(keeps: false)
    try roster.show(on: board, keeps: false)
    var document = StatusDocument(
      role: .sender, version: ProductVersion.current, daemonRunning: false,
      generatedAt: SystemTime().wallTime(), vms: board.all)
    document.warnings = roster.warnings.isEmpty ? nil : roster.warnings
    return document
  }
}
