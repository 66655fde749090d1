import ReplIO
import ReplModel
import ReplProtocol
import ReplSource
import ReplTestKit
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

  @Test("a frame that is not acknowledged for 300 s ends the pass, unless others are acknowledged meanwhile")
  func age() throws {
    let time = ManualTime()
    let window = SendWindow(windowBytes: 1 << 20, tracker: ResumeTracker(leafCount: 4), time: time)
    time.advance(seconds: 1000)
    try window.checkAge()
    for sequence: UInt64 in 0..<3 { window.noteSent(sequence, bytes: 1, token: nil) }
    time.advance(seconds: 299)
    try window.checkAge()
    try window.acknowledge(Ack(sequence: 0))
    time.advance(seconds: 299)
    try window.checkAge()
    time.advance(seconds: 1)
    #expect(throws: PassError.self) { try window.checkAge() }
    try window.acknowledge(Ack(sequence: 2))
    try window.checkAge()
  }

  @Test("requests for pages are bounded on a connection, however quickly they are answered")
  func resends() throws {
    let tracker = ResumeTracker(leafCount: 4)
    func accepted(rangesEach: Int) -> Int {
      let window = SendWindow(windowBytes: 1 << 20, tracker: tracker)
      let pages = (0..<Int64(rangesEach)).map { Resend.Pages(first: 2 * $0, count: 1) }
      var count = 0
      // The commit after each is void: one without end would never end.
      while count < 10_000, (try? window.add(Resend(disk: 0, pages: pages), token: tracker.hold(0))) != nil {
        count += 1
        _ = window.takeResends()
      }
      return count
    }
    #expect(accepted(rangesEach: 1) == SendWindow.resendLimit)
    #expect(accepted(rangesEach: 4096) == SendWindow.resendRangeLimit / 4096)
  }
}
