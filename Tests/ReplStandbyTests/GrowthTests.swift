import ReplDigest
import ReplIO
import ReplModel
import ReplTestKit
import Testing

@testable import ReplStandby

/// Disks that grow between passes: what travels, what stays, what is refused.
@Suite("Growing disks") struct GrowthTests {
  private static let senders = GrowthSweepTests.senders

  private func prepared() throws -> (SimulatedMachine, StandbyStore, Standby) {
    let machine = try Bench.machine()
    let store = try Bench.store(on: machine)
    let standby = try Bench.standby(in: store)
    try Self.senders[0].replicate(1, to: standby)
    return (machine, store, standby)
  }

  @Test(
    "a grown disk brings only what changed, and its base is the old map widened, of which nothing is left")
  func onlyChanges() throws {
    let (machine, _, standby) = try prepared()
    var image = Self.senders[0].image
    image.grow(0, to: image.disks[0].count + (1 << 20))
    image.fill(0, 400, 1)
    let sender = try Sender(image)
    let pass = try standby.beginPass(sender.offer(2))
    #expect(!pass.isSeeding(disk: 0))
    var blank = Self.senders[0].image
    blank.grow(0, to: image.disks[0].count)
    #expect(try pass.digestView(disk: 0).root() == Sender(blank).roots[0])
    let sent = try sender.send(to: pass)
    #expect(sent == Sender.Sent(data: [1, 0], zero: [0, 0]))
    _ = try pass.commit(sender.claims(sent))
    #expect(try pass.settle().isEmpty)
    try Checks([Self.senders[0], sender]).holdsItsNewestPoint(standby, on: machine, "grown")
    // The base point keeps its size, the way back as well.
    #expect(standby.catalog.points[0].disk(Bench.diskIDs[0])?.grid == Self.senders[0].grids[0])
    #expect(try standby.maps.entryNames() == Bench.diskIDs.map { StandbyLayout.map(of: $0) }.sorted())
  }

  @Test("a pass that grows a disk and is not committed leaves file, catalog and descriptor as they were")
  func notCommitted() throws {
    for isAbandoned in [true, false] {
      let (machine, store, standby) = try prepared()
      let before = standby.catalog
      let pass = try standby.beginPass(Self.senders[1].offer(2))
      try Self.senders[1].send(to: pass)
      if isAbandoned { try pass.abandon() } else { try pass.suspend() }
      #expect(standby.catalog == before)
      try Checks([Self.senders[0]]).holdsItsNewestPoint(standby, on: machine, "not committed")
      // The source went back to the old size, from a backup for example: replication goes on.
      var image = Self.senders[0].image
      image.fill(0, 5, 77)
      let sender = try Sender(image)
      try sender.replicate(3, to: standby)
      #expect(standby.catalog.newest?.pass == Bench.pass(3))
      try Checks([Self.senders[0], sender, sender]).holdsItsNewestPoint(standby, on: machine, "old size")
      withExtendedLifetime(store) {}
    }
  }

  @Test("a map that is lost while a disk grows is made anew from the disk")
  func lostMaps() throws {
    let (machine, _, standby) = try prepared()
    for name in try standby.maps.entryNames() { try standby.maps.removeFile(name) }
    try Self.senders[1].replicate(2, to: standby)
    try Checks(Self.senders).holdsItsNewestPoint(standby, on: machine, "lost before")
    let pass = try standby.beginPass(Self.senders[2].offer(3))
    let sent = try Self.senders[2].send(to: pass)
    _ = try pass.commit(Self.senders[2].claims(sent))
    for name in try standby.maps.entryNames() { try standby.maps.removeFile(name) }
    let after = machine.kill()
    let reopened = try Bench.standby(in: Bench.store(on: after))
    try Checks(Self.senders).holdsItsNewestPoint(reopened, on: after, "lost while settling")
  }

  @Test("a disk may grow in the pass that brings a new digest key")
  func newKey() throws {
    let (machine, store, standby) = try prepared()
    try store.rememberKey(Bench.otherKey)
    let sender = try Sender(Self.senders[1].image, key: Bench.otherKey)
    let sent = try sender.replicate(2, to: standby)
    // Those of the known key would have been sent: the disk was read and digested anew.
    let (again, _, known) = try prepared()
    #expect(try Self.senders[1].replicate(2, to: known) == sent)
    withExtendedLifetime(again) {}
    #expect(standby.catalog.newest?.disks.map(\.keyID) == [Bench.otherKey.id, Bench.otherKey.id])
    // The undo file leads back to a point whose root was carried over to the new key.
    let older = try Sender(Self.senders[0].image, key: Bench.otherKey)
    #expect(standby.catalog.points[0].disks.map(\.root) == older.roots)
    try Checks([Self.senders[0], sender]).holdsItsNewestPoint(standby, on: machine, "new key")
  }

  @Test("a disk file with another size than its newest point is diverged, whatever is offered")
  func foreignGrowth() throws {
    let (_, _, standby) = try prepared()
    let entry = try #require(standby.catalog.disk(Bench.diskIDs[0]))
    let size = Int64(Self.senders[1].image.disks[0].count)
    try standby.home.directory.openFile(entry.flatFileName, .readWrite).truncate(to: size)
    do {
      _ = try standby.beginPass(Self.senders[1].offer(2))
      Issue.record("accepted")
    } catch {
      guard case .diverged = error else { throw error }
      #expect("\(error)".contains("\(size)"))
    }
  }

  @Test("a point that grows a disk can be started before it is settled, and after")
  func startable() throws {
    let (_, store, standby) = try prepared()
    let pass = try standby.beginPass(Self.senders[1].offer(2))
    let sent = try Self.senders[1].send(to: pass)
    _ = try pass.commit(Self.senders[1].claims(sent))
    let pending = try #require(try store.standbys().first)
    #expect(pending.pending != nil)
    try store.checkStartable(pending)
    try pass.settle()
    try store.checkStartable(try #require(try store.standbys().first))
  }

  // MARK: - Refusals

  private func text(of refused: () throws -> Void) -> String {
    do {
      try refused()
      return ""
    } catch { return "\(error)" }
  }

  @Test("a shrunk disk is refused with both sizes and what to do, and the VM stops")
  func shrunk() throws {
    let (machine, _, standby) = try prepared()
    var image = Self.senders[0].image
    image.disks[1].removeLast(8192)
    let sender = try Sender(image)
    do {
      _ = try standby.beginPass(sender.offer(2))
      Issue.record("accepted")
    } catch {
      guard case .diskChanged = error else { throw error }
      #expect(error.remedy == .stopVM)
      for part in ["scsi0:1 shrank from 98304 to 90112 bytes", "exclude_disks", "disk remove"] {
        #expect("\(error)".contains(part), "\(error)")
      }
    }
    try Checks([Self.senders[0]]).holdsItsNewestPoint(standby, on: machine, "shrunk")
  }

  @Test("a disk may grow while its first copy is under way; what came before is kept")
  func seedingGrows() throws {
    let machine = try Bench.machine()
    let standby = try Bench.standby(in: Bench.store(on: machine))
    let first = try standby.beginPass(Self.senders[0].offer(1))
    try Self.senders[0].send(to: first, limit: 3)
    try first.suspend()
    var image = Self.senders[0].image
    image.grow(0, to: 2 << 20)
    let sender = try Sender(image)
    let pass = try standby.beginPass(sender.offer(2))
    let sent = try sender.send(to: pass)
    #expect(sent.data[0] == 0, "12 pages came before")
    _ = try pass.commit(sender.claims(sent))
    try pass.settle()
    try Checks([sender, sender]).holdsItsNewestPoint(standby, on: machine, "grown while seeding")
  }
}
