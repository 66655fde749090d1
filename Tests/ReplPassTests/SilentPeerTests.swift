import ReplIO
import ReplModel
import ReplProtocol
import ReplSource
import ReplTransport
import Testing

@testable import ReplPass

/// A peer that takes no data, and one that says nothing (FAULTS.md 61).
@Suite struct SilentPeerTests {
  @Test(
    "what is on its way to a receiver is bounded by its window, and who waits for room is woken by the end"
  )
  func window() throws {
    #expect(TargetSettings.windowBytes <= ProtocolLimits.standard.windowBytes.upperBound)
    #expect(ProtocolTimeouts.unacknowledgedSeconds <= 300)
    let window = SendWindow(windowBytes: 1 << 20, tracker: ResumeTracker(leafCount: 4))
    // One frame always may; the next one waits for an acknowledgement.
    try window.waitForRoom(2 << 20)
    window.noteSent(0, bytes: 2 << 20, token: nil)
    let passed = Monitor(false)
    let sending = NamedThread.start("sending") {
      // It ends with the failure that the receiving thread reports.
      do { try window.waitForRoom(1) } catch { passed.withLock { $0 = true } }
    }
    #expect(passed.wait(seconds: 0.2) { $0 ? true : nil } == nil, "it waits")
    window.fail(.timedOut("the peer", seconds: 1))
    #expect(passed.wait(seconds: 5) { $0 ? true : nil } == true)
    sending.join()
  }
}
