import ReplIO
import ReplModel
import ReplSource
import ReplTransport
import Synchronization

/// The connections to the receiver on which one thing is done (a pass, a round of a seed), one after the
/// other: one that is cut is taken up again as long as there is progress.
final class SourceLink: Sendable {
  private let settings: SourceSettings
  private let onTrouble: @Sendable (PassError) -> Void
  /// Of the connections that have ended, and of the one that is open as last told.
  private let wireBytes = Mutex<(ended: Int64, open: Int64)>((0, 0))

  init(settings: SourceSettings, onTrouble: @escaping @Sendable (PassError) -> Void) {
    self.settings = settings
    self.onTrouble = onTrouble
  }

  /// Put on the wire so far, on all connections.
  var sentBytes: Int64 { wireBytes.withLock { $0.ended + $0.open } }

  /// What is known of the connection that is open.
  func note(sentBytes: Int64) { wireBytes.withLock { $0.open = sentBytes } }

  /// Calls `attempt` until it answers. `rewind` goes back to what is acknowledged and says how far that is:
  /// after too many failures without progress the last one is thrown. `pause` waits, and throws when it is
  /// not worth going on.
  func retrying<Answer>(
    rewind: () -> Int64, pause: (Double) throws(PassError) -> Void, _ attempt: () throws(PassError) -> Answer
  ) throws(PassError) -> Answer {
    var failures = 0
    var last = rewind()
    while true {
      do throws(PassError) {
        return try attempt()
      } catch {
        guard error.remedy == .retryPass, !error.isStopping else { throw error }
        let position = rewind()
        failures = position > last ? 1 : failures + 1
        last = position
        guard failures < settings.retryLimit else { throw error }
        onTrouble(error)
        // A longer wait than this is better spent without holding the view: the scheduler does it.
        try pause(min(error.retryAfterSeconds ?? 0.25 * Double(1 << failures), 15))
      }
    }
  }

  /// One connection. `stop` ends the dialling, `interrupt` all of it: the peer is told, and has a second.
  func connected<Answer>(
    stop: StopSignal, interrupt: StopSignal, _ body: (Conversation) throws(PassError) -> Answer
  ) throws(PassError) -> Answer {
    let dial = ConnectionAttempt()
    var options = settings.transport
    options.pace = settings.makePace?()
    let connection: FrameConnection
    do throws(TransportError) {
      connection = try stop.whileWatching(wake: { dial.cancel() }) { () throws(TransportError) in
        try FrameConnection.connect(
          to: settings.receiver, context: settings.tls, options: options, attempt: dial)
      }
    } catch { throw .transport(error) }
    let conversation = Conversation(connection, role: .source)
    defer {
      wireBytes.withLock { $0 = ($0.ended + connection.wireBytesSent, 0) }
      connection.close()
      conversation.ending.end()
    }
    return try interrupt.whileWatching(wake: { conversation.stop(cuts: true) }) {
      () throws(PassError) -> Answer in
      do throws(PassError) {
        return try body(conversation)
      } catch {
        conversation.tell(interrupt.isSet ? .stopping : error)
        throw error
      }
    }
  }
}

extension StopSignal {
  /// False when the signal came before the time was over.
  func pause(seconds: Double) -> Bool {
    let woken = Monitor(false)
    return whileWatching(wake: { woken.withLock { $0 = true } }) {
      woken.wait(seconds: seconds) { $0 ? true : nil } == nil
    }
  }
}
