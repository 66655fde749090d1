import Logging
import ReplIO
import ReplModel

/// Reads all catalogs for the status, once at a time whoever asks, and never makes anybody wait for storage
/// that does not answer.
final class CatalogReading: Sendable {
  /// Less than `ServiceLimits.statusDeadlineSeconds`, after which a client gives up; a look at 1,000 standbys
  /// takes a tenth of one.
  private static let patienceSeconds = 1.0

  private struct State {
    /// When the reading began that has not ended yet, and how long it is waited for.
    var reading: (since: WallTime, patience: Deadline)?
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

  /// Since when a reading has not come to its end, though it should have; or why the last one failed.
  var trouble: String? {
    state.withoutWaking { state in
      guard let reading = state.reading, reading.patience.hasPassed else { return state.failure }
      return Self.silence(since: reading.since)
    }
  }

  /// Returns when the catalogs have been read, or after a second; at once when they have been waited for that
  /// long already. A sentence when what is known may be old.
  func read() async -> String? {
    do { return try await NamedThread.run("status") { [self] in waitForReading() } } catch {
      return "the catalogs of the standbys are not read, and what is shown here is older: \(error)"
    }
  }

  private func waitForReading() -> String? {
    let (number, isNew) = state.withLock { state -> (UInt64, Bool) in
      let isNew = state.reading == nil
      if isNew {
        state.reading = (SystemTime().wallTime(), Deadline(seconds: Self.patienceSeconds))
      }
      return (state.ended, isNew)
    }
    if isNew {
      do throws(IOError) { try NamedThread.tryStart("catalogs") { [self] in read() }.detach() } catch {
        end("the catalogs of the standbys are not read, and what is shown here is older: \(error)")
      }
    }
    // Its patience, not another second for each who asks.
    let outcome = state.wait(seconds: Self.patienceSeconds) { state -> String?? in
      if state.ended > number { return .some(state.failure) }
      guard let reading = state.reading, reading.patience.hasPassed else { return nil }
      return .some(Self.silence(since: reading.since))
    }
    return outcome ?? trouble
  }

  private static func silence(since: WallTime) -> String {
    "the catalogs of the standbys are being read since \(since), and what is shown here is older: does the "
      + "storage of every store answer?"
  }

  private func read() {
    var failure: String?
    do { try load() } catch {
      failure = "the catalogs of the standbys cannot be read, and what is shown here is older: \(error)"
      logger.warning("catalogs-not-read", metadata: ["cause": "\(error)"])
    }
    end(failure)
  }

  private func end(_ failure: String?) {
    state.withLock { state in
      state.reading = nil
      state.ended += 1
      state.failure = failure
    }
  }
}
