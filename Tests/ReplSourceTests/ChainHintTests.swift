import ReplModel
import Testing

@testable import ReplSource

@Suite("Hints from the links of a chain") struct ChainHintTests {
  private func link(
    _ name: String, inode: UInt64, changed: Int64 = 5, cid: UInt32 = 1, isSettled: Bool = true,
    present: [Int64] = []
  ) -> HintRecord.Link {
    let file = HintRecord.File(
      path: name, inode: inode, sizeBytes: 100, modifiedNanoseconds: changed, changedNanoseconds: changed)
    return HintRecord.Link(files: [file], contentID: cid, isSettled: isSettled, present: present)
  }

  private var base: HintRecord.Link { link("base", inode: 1) }

  private func changed(
    _ before: [HintRecord.Link], _ now: [HintRecord.Link]
  ) throws(HintRefusal) -> [[Int64]] {
    try ChainHint.changed(from: before, to: now).ranges.map { [$0.offset, $0.length] }
  }

  @Test("a chain that nobody touched has not changed")
  func untouched() throws {
    let delta = link("delta", inode: 2, present: [0, 10])
    #expect(try changed([base, delta], [base, delta]) == [])
    #expect(try changed([base], [base]) == [])
  }

  @Test("what a new delta hides may have changed, and nothing else")
  func newSnapshot() throws {
    let delta = link("delta", inode: 2, present: [0, 10, 50, 5])
    #expect(try changed([base], [base, delta]) == [[0, 10], [50, 5]])
    let next = link("next", inode: 3, present: [90, 1])
    #expect(try changed([base, delta], [base, delta, next]) == [[90, 1]])
  }

  @Test("of a delta that was written, what it hid before counts too: it may have been shrunk")
  func writtenDelta() throws {
    let before = link("delta", inode: 2, present: [0, 10, 50, 5])
    let after = link("delta", inode: 2, changed: 9, present: [0, 10, 70, 5])
    #expect(try changed([base, before], [base, after]) == [[0, 10], [50, 5], [70, 5]])
  }

  @Test("after going back to a snapshot, what the delta that is gone had hidden has changed")
  func reverted() throws {
    let gone = link("delta", inode: 2, present: [20, 10])
    let fresh = link("delta", inode: 4, present: [])
    #expect(try changed([base, gone], [base, fresh]) == [[20, 10]])
    // Even when the new file has the number and the name of the old one.
    #expect(try changed([base, gone], [base, link("delta", inode: 2, cid: 9)]) == [[20, 10]])
    #expect(try changed([base, gone], [base]) == [[20, 10]])
  }

  @Test("a base that was written, replaced, or settled too late speaks for nothing")
  func otherBase() throws {
    let delta = link("delta", inode: 2, present: [0, 10])
    for other in [link("base", inode: 1, changed: 6), link("base", inode: 7), link("base", inode: 1, cid: 2)]
    {
      #expect(throws: HintRefusal.self) { try changed([base, delta], [other, delta]) }
    }
    let young = link("base", inode: 1, isSettled: false)
    #expect(throws: HintRefusal.self) { try changed([young], [base]) }
    #expect(throws: HintRefusal.self) { try changed([base], []) }
  }

  @Test("deleting a snapshot in the middle makes all that was above the base doubtful, and no more")
  func consolidated() throws {
    let middle = link("middle", inode: 2, present: [0, 10])
    let top = link("top", inode: 3, present: [5, 10])
    let merged = link("top", inode: 3, changed: 9, present: [0, 15])
    #expect(try changed([base, middle, top], [base, merged]) == [[0, 15]])
  }

  @Test("numbers of a record that make no ranges refuse it")
  func damagedRecord() {
    for present in [[1], [-1, 5], [5, -1], [.max, 5]] as [[Int64]] {
      let delta = link("delta", inode: 2, present: present)
      #expect(throws: HintRefusal.self) { try changed([base, delta], [base]) }
    }
  }
}
