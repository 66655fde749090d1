import ReplIO
import ReplModel
import ReplTestKit
import Testing

@testable import ReplStandby

/// A catalog can be read again, whatever passes and repairs want to put into it.
@Suite("Size of a catalog") struct CatalogRoomTests {
  private static func bench(floorSeconds: Double = 0) throws -> PointBench {
    var images = [Bench.firstImage()]
    for number in 1...3 {
      images.append(images[number - 1])
      images[number].fill(0, number, UInt64(number * 7000))
    }
    return try PointBench(
      images,
      policy: RetentionPolicy(last: 500, hourly: 0, daily: 0, weekly: 0, floorSeconds: floorSeconds))
  }

  private static func fill(_ index: Int, _ bytes: Int, _ standby: Standby) throws {
    try standby.update { catalog in
      catalog.kept[index].damage = [
        DiskDamage(
          disk: Bench.diskIDs[0], pages: [], pageCount: 1, detail: String(repeating: "x", count: bytes))
      ]
    }
  }

  @Test("a commit drops the oldest points that would make the catalog too large, and as few as will do")
  func drops() throws {
    let bench = try Self.bench()
    try bench.replicate(3)
    let standby = try Bench.standby(in: bench.store())
    try Self.fill(0, 7 << 20, standby)
    try Self.fill(1, 6 << 20, standby)
    let pass = try standby.beginPass(bench.senders[3].offer(4))
    _ = try pass.commit(bench.senders[3].claims(try bench.senders[3].send(to: pass)))
    #expect(standby.takeDropped().map(\.point) == [PointBench.reference(1)])
    try pass.settle()
    let catalog = try #require(try bench.store().standbys().first?.catalog)
    #expect(catalog.points.map(\.reference) == (2...4).map(PointBench.reference))
  }

  @Test("where no point may go the pass is refused before its commit, with the numbers, and no point is lost")
  func refused() throws {
    let bench = try Self.bench(floorSeconds: 1e6)
    try bench.replicate(3)
    let standby = try Bench.standby(in: bench.store())
    try Self.fill(0, 13 << 20, standby)
    let pass = try standby.beginPass(bench.senders[3].offer(4))
    let sent = try bench.senders[3].send(to: pass)
    let error = try #require(throws: StandbyError.self) {
      _ = try pass.commit(bench.senders[3].claims(sent))
    }
    guard case .catalogFull(_, let needed, let limit) = error else { throw error }
    #expect(needed > limit && limit == 12 << 20, "\(error)")
    #expect(standby.catalog.points.count == 3)
    try standby.update { $0.kept[0].damage = [] }
    try pass.suspend()
    try bench.senders[3].replicate(5, to: standby)
    #expect(standby.catalog.points.count == 4)
  }

  @Test("a catalog that could not be read again is not written, and the one before stays")
  func save() throws {
    let bench = try Self.bench()
    try bench.replicate(2)
    let standby = try Bench.standby(in: bench.store())
    let before = standby.catalog
    let error = try #require(throws: StandbyError.self) { try Self.fill(0, 17 << 20, standby) }
    guard case .catalogFull = error else { throw error }
    #expect(standby.catalog == before)
    #expect(try Catalog.load(from: standby.home.privateDirectory) == before)
    try standby.fence(reason: "test")
  }

  @Test("facts beyond what a descriptor can honestly have are refused with the offer")
  func facts() throws {
    let (offer, entry) = (try Self.bench().senders[0].offer(1), String(repeating: "9", count: 128))
    func refuses(_ count: Int) -> Bool {
      let disk = offer.disks[0]
      let facts = (0..<count).map { DiskFacts.Entry(key: "geometry.biosCylind\($0)", value: entry) }
      let other = PassOffer(
        vm: offer.vm, displayName: offer.displayName, owner: offer.owner, pass: offer.pass,
        frozenAt: offer.frozenAt, label: offer.label, epoch: nil,
        disks: [
          .init(
            disk: disk.disk, slot: disk.slot, grid: disk.grid, keyID: disk.keyID,
            facts: DiskFacts(entries: facts))
        ], vmxHash: offer.vmxHash, nvramHash: offer.nvramHash)
      do throws(StandbyError) { try other.check() } catch { return "\(error)".contains("at most 4096") }
      return false
    }
    #expect(!refuses(14) && refuses(30))
  }

  @Test("damage of too many places is counted and not listed, and what is lost of it stays damage")
  func unlisted() throws {
    let bench = try Self.bench()
    try bench.replicate(3)
    var catalog = try Bench.standby(in: bench.store()).catalog
    func damage(_ ranges: Int) -> [PointReference: [DiskDamage]] {
      let pages = (0..<Int64(ranges)).map { PageRange(first: $0 * 2, count: 1) }
      return Dictionary(
        uniqueKeysWithValues: catalog.kept.map {
          let found = DiskDamage(
            disk: Bench.diskIDs[0], pages: pages, pageCount: Int64(ranges), detail: "", waitsForRepair: true)
          return ($0.reference, [found])
        })
    }
    catalog.mark(damage(30), replacing: [Bench.diskIDs[0]])
    #expect(catalog.kept.allSatisfy { $0.damage.map(\.pages.count) == [30] })
    catalog.mark(damage(30_000), replacing: [Bench.diskIDs[0]])
    #expect(catalog.kept.allSatisfy { $0.damage.map(\.pages.count) == [0] })
    #expect(catalog.kept.allSatisfy { $0.damage.map(\.pageCount) == [30_000] })
    catalog.resolveDamage(of: Bench.diskIDs[0], lost: PageRangeList([PageRange(first: 4, count: 2)]))
    #expect(catalog.kept.allSatisfy { $0.damage.map(\.pageCount) == [2] })
  }
}
