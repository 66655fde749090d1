import ReplDigest
import ReplIO
import ReplModel
import ReplTestKit
import Testing

@testable import ReplStandby

/// Maps that are lost, or are of no use any more, while something else is wrong or waits.
@Suite("Lost maps") struct MapLossTests {
  private let first: Sender
  private let second: Sender
  private let machine: SimulatedMachine

  init() throws {
    first = try Sender(Bench.firstImage())
    second = try Sender(Bench.secondImage())
    machine = try Bench.machine()
    try first.replicate(1, to: try Bench.standby(in: Bench.store(on: machine)))
  }

  @Test("a map that is made anew makes way for a failover, but not where the failover itself needs it")
  func makesWay() throws {
    let store = try Bench.store(on: machine)
    let standby = try Bench.standby(in: store)
    let point = try #require(standby.catalog.newest)
    try Damage.dropMaps(machine)
    let request = try #require(try store.requestFailover(vm: Bench.vm))
    let error = try #require(throws: StandbyError.self) { try standby.map(of: point.disks[0], at: point) }
    guard case .interruptedByFailover = error else { throw error }
    _ = try standby.map(of: point.disks[0], at: point, makesWay: false)
    withExtendedLifetime(request) {}
    _ = consume request
    try second.replicate(2, to: standby)
    try Checks([first, second]).holdsItsNewestPoint(standby, on: machine, "after the request")
  }

  /// A leaf at a time.
  private func request() -> VerifyRequest {
    var request = VerifyRequest(.everything)
    (request.bytesPerSecond, request.sliceSeconds, request.pauseSeconds) = (1 << 40, 1e-9, 0)
    return request
  }

  private func mapNames(_ standby: Standby) throws -> [String] {
    try standby.maps.entryNames().filter { $0.hasPrefix("\(Bench.diskIDs[0])") }
  }

  @Test("a lost map is made anew slice by slice, within the rate, and is there afterwards")
  func slices() throws {
    try Damage.dropMaps(machine)
    var slices = 0
    let outcome = try #require(
      try Bench.store(on: machine).verify(vm: Bench.vm, request()) { _ in
        slices += 1
        return true
      })
    #expect(outcome.verdict == .identical && outcome.reports.allSatisfy(\.isProvenByRoot))
    #expect(slices == 3, "two leaves of one disk and one of the other")
    let standby = try Bench.standby(in: Bench.store(on: machine))
    #expect(try mapNames(standby) == ["\(Bench.diskIDs[0]).map"])
    let point = try #require(standby.catalog.newest)
    for member in point.disks { #expect(standby.trustedMap(of: member, at: point) != nil) }
    _ = consume standby
    // Also when it is wrong: then nothing is left of it.
    try Damage.flip(machine, disk: 0, pages: [100])
    try Damage.dropMaps(machine)
    let wrong = try #require(try Bench.store(on: machine).verify(vm: Bench.vm, request()))
    #expect(wrong.reports[0].isMapLost && wrong.verdict == .differing)
    #expect(try mapNames(Bench.standby(in: Bench.store(on: machine))).isEmpty)
  }

  @Test(
    "a pass between two slices brings a map of its own, with which the disk is compared from its first page")
  func passBetween() throws {
    try Damage.dropMaps(machine)
    let store = try Bench.store(on: machine)
    let pace = VerifyPace(request: request())
    let verifier = DiskVerifier(Bench.diskIDs[0], .everything, listLimit: 10)
    #expect(try !pace.slice(Bench.vm, in: store, verifier) { $0.doneBytes > 0 })
    try second.replicate(2, to: Bench.standby(in: store))
    try Damage.flip(machine, disk: 0, pages: [3])
    while try !pace.slice(Bench.vm, in: store, verifier, { _ in true }) {}
    #expect(verifier.report.differing == [3] && verifier.report.pagesChecked == Bench.grids[0].pageCount)
    #expect(try mapNames(Bench.standby(in: store)) == ["\(Bench.diskIDs[0]).map"])
  }

  @Test(
    "a wrong page, a lost map and a committed pass that waits: one adoption ends it, the next pass repairs")
  func adoptedWhileAPointWaits() throws {
    do {
      let pass = try Bench.standby(in: Bench.store(on: machine)).beginPass(second.offer(2))
      _ = try pass.commit(second.claims(try second.send(to: pass)))
    }
    let killed = machine.kill()
    // No page that the waiting pass brings.
    try Damage.flip(killed, disk: 0, pages: [200])
    try Damage.dropMaps(killed)
    let store = try Bench.store(on: killed)
    #expect(throws: StandbyError.self) { try Bench.standby(in: store).recovery.get() }
    let adopted = try #require(try store.adopt(vm: Bench.vm))
    #expect(adopted.reports[0].isMapLost && adopted.divergence == nil)
    let standby = try Bench.standby(in: store)
    #expect(throws: Never.self) { try standby.recovery.get() }
    #expect(standby.catalog.points.count == 2 && standby.catalog.divergence == nil)
    #expect(standby.catalog.suspicion != nil, "page 200 is still wrong")
    #expect(try standby.wantedList().disk(Bench.diskIDs[0])?.isMapLost == true)
    try second.replicate(3, to: standby)
    try Checks([first, second, second]).holdsItsNewestPoint(standby, on: killed, "repaired")
    #expect(standby.catalog.suspicion == nil)
    #expect(try standby.wantedList().isEmpty)
  }

  @Test(
    "a sender that comes with a new key while a page is wanted repairs it; no adoption is asked for again")
  func newKeyWhileWanted() throws {
    try Damage.flip(machine, disk: 0, pages: [100])
    _ = try Damage.verify(machine, repairs: true)
    let store = try Bench.store(on: machine)
    try store.rememberKey(Bench.otherKey)
    let other = try Sender(Bench.secondImage(), key: Bench.otherKey)
    let standby = try Bench.standby(in: store)
    // Cut off once: it is still wanted, and nobody says that it is right.
    let pass = try standby.beginPass(other.offer(2))
    try pass.abandon()
    #expect(try standby.wantedList().disk(Bench.diskIDs[0]) != nil && standby.catalog.suspicion != nil)
    try other.replicate(3, to: standby)
    try #expect(isSame(Damage.bytes(standby, 0), other.image.disks[0]))
    #expect(try standby.verifyDisk(Bench.diskIDs[0]).isClean)
    #expect(standby.catalog.suspicion == nil && standby.catalog.divergence == nil)
    let damage = try #require(standby.catalog.kept.first).damage
    #expect(
      damage.flatMap(\.pages) == [PageRange(first: 100, count: 1)], "the undo file holds the wrong page")
    #expect(try standby.wantedList().isEmpty)
  }
}
