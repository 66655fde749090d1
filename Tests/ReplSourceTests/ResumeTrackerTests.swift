import Testing

@testable import ReplSource

@Suite struct ResumeTrackerTests {
  @Test("the position never passes a leaf that is in work or not acknowledged, in whatever order things end")
  func position() throws {
    let tracker = ResumeTracker(leafCount: 10)
    let first = try #require(tracker.take())
    let second = try #require(tracker.take())
    #expect(tracker.position == 0)
    let batch = tracker.hold(first.leaf)
    tracker.release(second.token)
    tracker.release(first.token)
    #expect(tracker.position == 0, "the batch with leaf 0 is not acknowledged")
    tracker.release(batch)
    #expect(tracker.position == 2)
  }

  @Test("after a cut the scan goes on at the position")
  func rewind() throws {
    let tracker = ResumeTracker(leafCount: 4)
    var tokens: [ResumeTracker.Token] = []
    while let (_, token) = tracker.take() { tokens.append(token) }
    tracker.release(tokens[0])
    tracker.release(tokens[2])
    tracker.rewind()
    #expect(tracker.take()?.leaf == 1)
    #expect(tracker.take()?.leaf == 2)
  }

  @Test("a scan that went back is cut where it is, not at what the scan before it still holds")
  func cutAfterGoingBack() throws {
    let tracker = ResumeTracker(leafCount: 10)
    while let (_, token) = tracker.take() { tracker.release(token) }
    _ = tracker.hold(9)
    tracker.goBack(to: 0)
    for leaf: Int64 in 0...1 {
      let taken = try #require(tracker.take())
      #expect(taken.leaf == leaf)
      tracker.release(taken.token)
    }
    #expect(tracker.position == 2)
    tracker.rewind()
    #expect(tracker.take()?.leaf == 2)
  }
}
