import ReplIO
import ReplModel
import ReplTestKit
import Testing

@testable import ReplStandby

/// The standing verification: a share a night, on from where it was.
@Suite("Standing verification") struct VerifyRoundTests {
  private let machine: SimulatedMachine

  init() throws {
    machine = try Bench.machine()
    try Sender(Bench.firstImage()).replicate(1, to: try Bench.standby(in: Bench.store(on: machine)))
  }

  private func step(_ night: String, share: Double = 0.5, stepBytes: Int64 = 1 << 20) throws -> VerifyStep {
    try Bench.store(on: machine).verifyNext(
      vm: Bench.vm, share: share, night: night, stepBytes: stepBytes, bytesPerSecond: 1 << 40
    ) { _ in true }
  }

  @Test("each night ends with its share, the next one goes on there, and rounds come to their end")
  func rotates() throws {
    // Leaves of 1 MiB: two of the first disk, one of the second.
    var places: [String] = []
    for night in 1...4 {
      while true {
        let step = try step("2026-11-0\(night)")
        guard let outcome = step.outcome, let round = step.round else { break }
        #expect(outcome.verdict == .identical && outcome.reports.count == 1)
        places.append(
          "\(night):\(Bench.diskIDs.firstIndex(of: outcome.reports[0].disk)!)\(step.endsRound ? "!" : "")")
        #expect(round.doneBytes <= step.totalBytes)
        #expect((round.completeAt != nil) == places.contains { $0.hasSuffix("!") })
      }
    }
    #expect(places == ["1:0", "2:0", "2:1!", "2:0", "3:0", "3:1!", "3:0", "4:0", "4:1!", "4:0"], "\(places)")
  }

  @Test("a difference that it meets makes the standby suspect; it goes on all the same")
  func finds() throws {
    try Damage.flip(machine, disk: 1, pages: [4])
    var found: [VerifyReport] = []
    for _ in 0..<3 { found += try step("n", share: 1).outcome?.reports ?? [] }
    #expect(found.map(\.differing) == [[], [], [4]])
    #expect(try step("n", share: 1).outcome == nil, "the share of this night is done")
    let standby = try Bench.standby(in: Bench.store(on: machine))
    #expect(standby.catalog.suspicion?.pageCount == 1 && standby.catalog.kept.last?.verifiedAt == nil)
  }

  @Test("a damaged record of how far it is begins a round anew, and a held standby is left for later")
  func losesPlace() throws {
    _ = try step("n")
    var standby: Standby? = try Bench.standby(in: Bench.store(on: machine))
    try standby?.maps.replaceFile("verify-round", with: Array("{}".utf8))
    standby = nil
    #expect(try step("n").outcome?.reports[0].disk == Bench.diskIDs[0])
    let store = try Bench.store(on: machine)
    let held = try Bench.standby(in: store)
    let error = #expect(throws: StandbyError.self) { _ = try step("m") }
    guard case .lockHeld? = error else { throw error ?? .storeMissing(path: "?") }
    withExtendedLifetime(held) {}
  }
}
