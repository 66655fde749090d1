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
