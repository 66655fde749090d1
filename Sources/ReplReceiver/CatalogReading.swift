import Logging
import ReplIO
import ReplModel

/// Reads all catalogs for the status, once at a time whoever asks, and never makes anybody wait for storage
/// that does not answer.
final class CatalogReading: Sendable {
  /// Whoever asks gives up after some seconds; a look at 1,000 standbys takes a tenth of one.
  private static let patienceSeconds = 3.0

  private struct State {
    /// When the reading began that has not ended yet.
    var since: WallTime?
    /// How many have ended.
    var ended: UInt64 = 0
    var failure: String?
  }

  private let state = Monitor(State())
  private let logger: Logger
  private let load: @Sendable () throws -> Void

  init(logger: Logger, load: @escaping @Sendable () throws -> Void) {
    self.logger = logger
    self.load = load
  }

  /// Returns when the catalogs have been read, or after some seconds. A sentence when what is known may be
  /// old.
  func read() async -> String? {
    // The body does not throw.
    let answer = try? await NamedThread.run("status") { [self] in waitForReading() }
    return answer ?? nil
  }

  private func waitForReading() -> String? {
    let (number, isNew) = state.withLock { state -> (UInt64, Bool) in
      let isNew = state.since == nil
      if isNew { state.since = SystemTime().wallTime() }
      return (state.ended, isNew)
    }
    if isNew { NamedThread.start("catalogs") { [self] in read() }.detach() }
    let outcome = state.wait(seconds: Self.patienceSeconds) { $0.ended > number ? ($0.failure ?? "") : nil }
    if let outcome { return outcome.isEmpty ? nil : outcome }
    return state.withLock { $0.since }.map {
      "the catalogs of the standbys are being read since \($0), and what is shown here is older: does the "
        + "storage of every store answer?"
    }
  }

  private func read() {
    var failure: String?
    do { try load() } catch {
      failure = "the catalogs of the standbys cannot be read, and what is shown here is older: \(error)"
      logger.warning("catalogs-not-read", metadata: ["cause": "\(error)"])
    }
    state.withLock { state in
      state.since = nil
      state.ended += 1
      state.failure = failure
    }
  }
}
