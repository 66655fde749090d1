import ReplModel
import ReplTestKit
import Testing

@testable import ReplPass
@testable import ReplSource

/// The sender loses power at every n-th durable operation of hinted passes.
@Suite(.serialized) struct HintSweepTests {
  private static let writes = [[1], [100, 101]]

  private func run(_ lab: HintLab) throws {
    for pages in Self.writes {
      lab.write(pages: pages, seed: 1)
      _ = try lab.pass()
    }
  }

  @Test("power lost at any operation of the sender leaves a record that fits its base, or none that does")
  func sweep() throws {
    let lab = try HintLab(leaves: 1)
    _ = try lab.pass()
    let before = lab.pair.sender.operationCount
    try run(lab)
    let count = lab.pair.sender.operationCount - before
    lab.end()
    #expect(count > 40)
    // Of the passes, which are alike, another operation each time.
    let cuts = Array(stride(from: 1, through: count, by: 6))
    var used = 0
    for number in cuts {
      let survivors: [Survivors] = [.random(seed: UInt64(number)), .none, .all]
      used += try cut(at: number, survivors[number % 3])
    }
    print("\(count) operations, hints used after \(used) of \(cuts.count) cuts")
    #expect(used > cuts.count / 4, "hints must survive cuts")
  }

  private func cut(at number: Int, _ survivors: Survivors) throws -> Int {
    let lab = try HintLab(leaves: 1)
    defer { lab.end() }
    _ = try lab.pass()
    lab.pair.sender.plan(FaultPlan(.powerCut, atOperation: number + lab.pair.sender.operationCount))
    // Hints that cannot be kept fail no pass: the power may be off behind a pass that went well.
    do { try run(lab) } catch {}
    lab.pair.restartSender(survivors)
    // Pages that go back to what they were in the base are what a record of the wrong base would miss.
    lab.write(pages: [1], seed: 7)
    let next = try lab.pass()
    #expect(try lab.isStandbyRight(), "cut at \(number), survivors \(survivors)")
    lab.write(pages: [100], seed: 8)
    #expect(try lab.pass().refusals == [nil, nil], "cut at \(number): hints are used again")
    #expect(try lab.isStandbyRight(), "cut at \(number), survivors \(survivors)")
    return next.refusals == [nil, nil] ? 1 : 0
  }
}
