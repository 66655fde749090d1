import ReplDigest
import ReplIO
import ReplModel
import ReplTestKit
import Testing

@testable import ReplStandby

/// Verifying, repairing, and the pass that brings what is wanted.
@Suite("Verify and repair") struct RepairTests {
  private let first: Sender
  private let second: Sender
  private let third: Sender
  private let machine: SimulatedMachine

  init() throws {
    first = try Sender(Bench.firstImage())
    second = try Sender(Bench.secondImage())
    third = try Sender(Bench.thirdImage())
    machine = try Bench.machine()
    try first.replicate(1, to: try Bench.standby(in: Bench.store(on: machine)))
    try second.replicate(2, to: try Bench.standby(in: Bench.store(on: machine)))
  }

  @Test(
    "one flipped byte: verify names its page, and after a repair the next pass sends just that page",
    arguments: [(0, 0), (0, 101), (0, 256), (0, 60), (1, 5), (1, 23)])
  func flip(disk: Int, page: Int64) throws {
    try Damage.flip(machine, disk: disk, pages: [page])
    let found = try Damage.verify(machine)
    #expect(found.verdict == .differing)
    #expect(found.reports[disk].differing == [page] && found.reports[1 - disk].isClean)
    #expect(found.suspicion?.pageCount == 1)
    let repair = try Damage.verify(machine, repairs: true)
    #expect(repair.wantedPages == 1 && repair.suspicion != nil)
    let sent = try second.replicate(3, to: Bench.standby(in: Bench.store(on: machine)))
    let isZero = disk == 0 && page == 60 || disk == 1 && page == 23
    var expected = Sender.Sent()
    if isZero { expected.zero[disk] = 1 } else { expected.data[disk] = 1 }
    #expect(sent == expected)
    let standby = try Bench.standby(in: Bench.store(on: machine))
    try Checks([first, second, second]).holdsItsNewestPoint(standby, on: machine, "repaired")
    #expect(standby.catalog.suspicion == nil && standby.catalog.divergence == nil)
    #expect(standby.catalog.kept.allSatisfy { !$0.isDamaged })
    #expect(try standby.wantedList().isEmpty)
    #expect(try !standby.home.privateDirectory.contains("wanted"))
  }

  @Test("a whole point that was read and found right gets the time, and clears an old suspicion")
  func verified() throws {
    let standby = try Bench.standby(in: Bench.store(on: machine))
    try standby.markSuspect(
      Suspicion(at: ManualTime().wallTime(), disk: nil, pageCount: 3, detail: "of yesterday"))
    _ = consume standby
    let outcome = try Damage.verify(machine)
    #expect(outcome.isWholePoint && outcome.verdict == .identical && outcome.suspicion == nil)
    let again = try Bench.standby(in: Bench.store(on: machine))
    #expect(again.catalog.kept.last?.verifiedAt != nil && again.catalog.kept.first?.verifiedAt == nil)
    #expect(again.catalog.suspicion == nil)
  }

  @Test("points that take a wanted page from the disk are damaged until it is brought; others are not")
  func olderPoints() throws {
    // Page 101 changed with the second point, so that its undo file holds it; page 100 is that of both.
    try Damage.flip(machine, disk: 0, pages: [100, 101])
    _ = try Damage.verify(machine, repairs: true)
    var standby: Standby? = try Bench.standby(in: Bench.store(on: machine))
    let waiting = try #require(standby?.catalog.kept)
    #expect(waiting[0].damage.flatMap(\.pages) == [PageRange(first: 100, count: 1)])
    #expect(waiting[1].damage.flatMap(\.pages) == [PageRange(first: 100, count: 2)])
    try second.replicate(3, to: try #require(standby))
    standby = nil
    let repaired = try Bench.standby(in: Bench.store(on: machine)).catalog.kept
    #expect(repaired.allSatisfy { !$0.isDamaged })
  }

  @Test(
    "a wanted page that the source has changed meanwhile is lost for the points before, and only that one")
  func lost() throws {
    // The third image clears page 100 and changes page 1; page 2 stays.
    try Damage.flip(machine, disk: 0, pages: [2, 100])
    _ = try Damage.verify(machine, repairs: true)
    var standby: Standby? = try Bench.standby(in: Bench.store(on: machine))
    try third.replicate(3, to: try #require(standby))
    standby = nil
    let again = try Bench.standby(in: Bench.store(on: machine))
    #expect(again.catalog.suspicion == nil)
    let damage = again.catalog.kept[0].damage
    #expect(damage.flatMap(\.pages) == [PageRange(first: 100, count: 1)])
    #expect(damage.allSatisfy { $0.waitsForRepair != true })
    #expect(again.catalog.kept[1].damage.isEmpty)
    #expect(try isSame(Damage.bytes(again, 0), third.image.disks[0]))
    #expect(try again.verifyDisk(Bench.diskIDs[0]).isClean)
  }

  @Test(
    "a wanted page that holds by chance what the source has now is not sent, and lost for the points before")
  func lostWithoutBeingSent() throws {
    let standby = try Bench.standby(in: Bench.store(on: machine))
    let file = try standby.home.directory.openFile("scsi0-0-flat.vmdk", .readWrite)
    try third.image.disks[0][(30 * 4096)..<(31 * 4096)].withUnsafeBytes {
      try file.write($0, at: 30 * 4096)
    }
    try file.sync()
    _ = consume standby
    #expect(try Damage.verify(machine, repairs: true).wantedPages == 1)
    try third.replicate(3, to: try Bench.standby(in: Bench.store(on: machine)))
    let again = try Bench.standby(in: Bench.store(on: machine))
    #expect(again.catalog.kept[0].damage.flatMap(\.pages) == [PageRange(first: 30, count: 1)])
    try #expect(isSame(Damage.bytes(again, 0), third.image.disks[0]))
  }

  @Test("a page that a person put back is right again for every point once all was read and found right")
  func putBack() throws {
    try Damage.flip(machine, disk: 0, pages: [100])
    _ = try Damage.verify(machine, repairs: true)
    #expect(try Bench.standby(in: Bench.store(on: machine)).catalog.kept.allSatisfy(\.isDamaged))
    try Damage.flip(machine, disk: 0, pages: [100])
    let outcome = try Damage.verify(machine, repairs: true)
    #expect(outcome.verdict == .identical && outcome.wantedPages == 0 && outcome.suspicion == nil)
    let standby = try Bench.standby(in: Bench.store(on: machine))
    #expect(standby.catalog.kept.allSatisfy { !$0.isDamaged })
    #expect(try standby.wantedList().isEmpty)
  }

  @Test("with the map lost as well, all of the disk is compared with the source, and only differences travel")
  func mapLost() throws {
    try Damage.flip(machine, disk: 0, pages: [7, 100])
    try Damage.dropMaps(machine)
    let found = try Damage.verify(machine)
    #expect(found.reports[0].isMapLost && found.reports[0].verdict == .differing)
    #expect(found.reports[1].isProvenByRoot && found.reports[1].isClean)
    #expect(found.suspicion?.detail.contains("root") == true)
    _ = try Damage.verify(machine, repairs: true)
    let sent = try second.replicate(3, to: Bench.standby(in: Bench.store(on: machine)))
    #expect(sent.data == [1, 0] && sent.zero == [1, 0], "page 7 is zero in this image")
    let standby = try Bench.standby(in: Bench.store(on: machine))
    try Checks([first, second, second]).holdsItsNewestPoint(standby, on: machine, "repaired without a map")
    #expect(standby.catalog.suspicion == nil && standby.catalog.kept.allSatisfy { !$0.isDamaged })
  }

  @Test("a map that is wrong is found out: the disk is right, and nothing is suspected")
  func mapWrong() throws {
    let standby = try Bench.standby(in: Bench.store(on: machine))
    let file = try standby.maps.openFile("\(Bench.diskIDs[0]).map", .readWrite)
    try Damage.flip(file, at: 8192 + 16 * 3)
    _ = consume standby
    let outcome = try Damage.verify(machine)
    #expect(outcome.verdict == .identical && outcome.suspicion == nil && outcome.reports[0].isProvenByRoot)
  }

  @Test("an older point is right when disks and undo files lead to its roots, and damaged when they do not")
  func olderPoint() throws {
    let older = PointReference(epoch: Epoch(1), number: 1)
    func verdict(_ machine: SimulatedMachine) throws -> PointVerdict {
      var request = VerifyRequest(.everything)
      request.pauseSeconds = 0
      return try #require(try Bench.store(on: machine).verify(vm: Bench.vm, point: older, request))
    }
    let right = try verdict(machine)
    #expect(right.answer == .right && right.detail == nil)
    let kept = try Bench.standby(in: Bench.store(on: machine)).catalog.kept
    #expect(kept[0].verifiedAt != nil && !kept[0].isDamaged)

    let name = try #require(try Bench.store(on: machine).standbys().first).directory
    // In the header, in the head of the first record, in its pages: not where records are only padded.
    for offset in [100, 512 + 20, 512 + 100, 512 + 1000, 512 + 4000] as [Int64] {
      let copy = machine.restart(.none)
      let points = try copy.disk("store").openDirectory(name).openDirectory(".repl").openDirectory("points")
      try Damage.flip(points.openFile("1.1.undo", .readWrite), at: offset)
      #expect(try verdict(copy).answer == .damaged, "byte \(offset)")
    }
    try Damage.flip(machine, disk: 1, pages: [6])
    #expect(try verdict(machine).answer == .damaged, "it takes page 6 from the disk")
  }

  @Test(
    "a sample reads about its share, the same one for the same seed, and together samples read everything")
  func sample() throws {
    let chosen = (1...40).map { seed in
      Set((0..<2000 as Range<Int64>).filter { VerifyChoice.sample(share: 0.05, seed: seed).contains($0) })
    }
    for set in chosen { #expect((50...160).contains(set.count), "\(set.count) of 2000") }
    #expect(chosen[0] == Set((0..<2000).filter { VerifyChoice.sample(share: 0.05, seed: 1).contains($0) }))
    #expect(chosen.reduce(Set()) { $0.union($1) }.count > 1600)
  }

  @Test("an unsound list of wanted pages is refused by name, and a full repair makes a new one")
  func damagedList() throws {
    try Damage.flip(machine, disk: 0, pages: [100])
    _ = try Damage.verify(machine, repairs: true)
    var standby: Standby? = try Bench.standby(in: Bench.store(on: machine))
    let hidden = try #require(standby).home.privateDirectory
    let good = try Bench.bytes(of: hidden.openFile("wanted", .read))
    #expect(try WantedList.decode(good, path: "x").encode() == good)
    for offset in stride(from: 0, to: good.count, by: 7) {
      var bytes = good
      bytes[offset] ^= 0x11
      #expect(throws: StandbyError.self, "byte \(offset)") { try WantedList.decode(bytes, path: "x") }
    }
    var bytes = good
    bytes[good.count - 3] ^= 1
    try hidden.replaceFile("wanted", with: bytes)
    #expect(throws: StandbyError.self) { _ = try #require(standby).beginPass(second.offer(3)) }
    standby = nil
    _ = try Damage.verify(machine, repairs: true)
    let again = try Bench.standby(in: Bench.store(on: machine))
    #expect(try again.wantedList().disk(Bench.diskIDs[0])?.pages.ranges == [PageRange(first: 100, count: 1)])
  }
}

/// Damage done to a standby behind the receiver's back, and verifying it.
enum Damage {
  static func flip(_ file: any StorageFile, at offset: Int64) throws {
    let byte = AlignedBuffer(byteCount: 1)
    try file.read(into: byte.bytes, at: offset)
    byte.bytes[0] ^= 0x40
    try file.write(byte.readable, at: offset)
    try file.sync()
  }

  /// One byte of each page.
  static func flip(_ machine: SimulatedMachine, disk: Int, pages: [Int64]) throws {
    let name = try #require(try Bench.store(on: machine).standbys().first).directory
    let home = try machine.disk("store").openDirectory(name)
    let file = try home.openFile("scsi0-\(disk)-flat.vmdk", .readWrite)
    for page in pages { try flip(file, at: page * 4096 + 1000 + page) }
  }

  static func dropMaps(_ machine: SimulatedMachine) throws {
    let maps = try machine.disk("state").openDirectory("maps")
    for name in try maps.entryNames() {
      let directory = try maps.openDirectory(name)
      for file in try directory.entryNames() { try directory.removeFile(file) }
    }
  }

  static func bytes(_ standby: Standby, _ disk: Int) throws -> [UInt8] {
    try Bench.bytes(of: standby.home.directory.openFile("scsi0-\(disk)-flat.vmdk", .read))
  }

  static func verify(_ machine: SimulatedMachine, repairs: Bool = false) throws -> VerifyOutcome {
    try verify(in: Bench.store(on: machine), repairs: repairs)
  }

  static func verify(
    in store: StandbyStore, _ choice: VerifyChoice = .everything, repairs: Bool = false
  ) throws -> VerifyOutcome {
    var request = VerifyRequest(choice)
    request.repairs = repairs
    request.pauseSeconds = 0
    return try #require(try store.verify(vm: Bench.vm, request))
  }
}
