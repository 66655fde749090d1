import ReplDigest
import ReplIO
import ReplModel
import ReplTestKit
import Testing

@testable import ReplStandby

@Suite("Damage and loss") struct DamageTests {
  private let first: Sender
  private let second: Sender
  private let machine: SimulatedMachine
  private let checks: Checks

  init() throws {
    first = try Sender(Bench.firstImage())
    second = try Sender(Bench.secondImage())
    checks = Checks([first, second, second])
    machine = try Bench.machine()
    try first.replicate(1, to: try Bench.standby(in: Bench.store(on: machine)))
  }

  private func open(_ machine: SimulatedMachine) throws -> Standby {
    try Bench.standby(in: Bench.store(on: machine))
  }

  /// Runs the second pass up to its commit, without settling.
  private func commitSecond() throws {
    let pass = try open(machine).beginPass(second.offer(2))
    _ = try pass.commit(second.claims(try second.send(to: pass)))
  }

  private func flip(_ file: any StorageFile, at offset: Int64) throws {
    let byte = AlignedBuffer(byteCount: 1)
    try file.read(into: byte.bytes, at: offset)
    byte.bytes[0] ^= 0x40
    try file.write(byte.readable, at: offset)
    try file.sync()
  }

  private func removeMaps(_ machine: SimulatedMachine, keys: Bool = false) throws {
    let state = machine.disk("state")
    let maps = try state.openDirectory("maps")
    for name in try maps.entryNames() {
      let directory = try maps.openDirectory(name)
      for file in try directory.entryNames() { try directory.removeFile(file) }
    }
    guard keys else { return }
    let directory = try state.openDirectory("keys")
    for file in try directory.entryNames() { try directory.removeFile(file) }
  }

  @Test("lost maps are made anew from the disks, and only real differences travel")
  func lostMaps() throws {
    try removeMaps(machine)
    let standby = try open(machine)
    let sent = try second.replicate(2, to: standby)
    #expect(sent.data == [6, 2] && sent.zero == [2, 0])
    try checks.holdsItsNewestPoint(standby, on: machine, "maps lost")
  }

  @Test("a damaged map is made anew", arguments: [0, 4096, 100, 8192 + 16, 8192 + 77] as [Int64])
  func damagedMap(offset: Int64) throws {
    var standby: Standby? = try open(machine)
    let id = try #require(standby).catalog.standby
    standby = nil
    let maps = try machine.disk("state").openDirectory("maps").openDirectory("\(id)")
    let file = try maps.openFile("\(Bench.diskIDs[0]).map", .readWrite)
    // Of the headers both slots: with one of them the other would speak.
    for place in offset < 8192 ? [offset, (offset + 4096) % 8192] : [offset] { try flip(file, at: place) }
    // A wrong leaf under a good header is found when its page is about to be overwritten: the disk is right,
    // not the map.
    let again = try open(machine)
    try second.replicate(2, to: again)
    try checks.holdsItsNewestPoint(again, on: machine, "damaged map")
    #expect(again.catalog.divergence == nil)
  }

  @Test("maps lost after the commit are no loss: settling makes them anew", arguments: [false, true])
  func mapsLostAfterCommit(keysToo: Bool) throws {
    try commitSecond()
    let after = machine.restart(.none)
    try removeMaps(after, keys: keysToo)
    var standby: Standby? = try open(after)
    #expect(try #require(standby).recovery.get() == .settled(PointReference(epoch: Epoch(1), number: 2)))
    standby = nil
    if keysToo { try Bench.store(on: after).rememberKey(Bench.key) }
    try checks.holdsItsNewestPoint(try open(after), on: after, "maps lost, keys too: \(keysToo)")
  }

  @Test("a page that somebody else wrote is found before it is overwritten: diverged, and nothing is written")
  func diverged() throws {
    try commitSecond()
    let after = machine.restart(.none)
    let name = try #require(try Bench.store(on: after).standbys().first).directory
    let flat = try after.disk("store").openDirectory(name).openFile("scsi0-0-flat.vmdk", .readWrite)
    try flip(flat, at: 101 * 4096 + 9)
    let before = try Bench.bytes(of: flat)
    var standby: Standby? = try open(after)
    let error = #expect(throws: StandbyError.self) { try #require(standby).recovery.get() }
    guard case .diverged(Bench.diskIDs[0], 101?, _)? = error else { throw error ?? .storeMissing(path: "?") }
    #expect(error?.remedy == .stopVM)
    #expect(try #require(standby).catalog.divergence?.page == 101)
    #expect(try isSame(Bench.bytes(of: flat), before))
    #expect(throws: StandbyError.self) { _ = try #require(standby).beginPass(second.offer(3)) }

    // The person puts the page back: the committed point was kept all the time.
    try flip(flat, at: 101 * 4096 + 9)
    try standby?.forgetDivergence()
    standby = nil
    let again = try open(after)
    try checks.holdsItsNewestPoint(again, on: after, "put right")
    #expect(again.catalog.newest?.reference.number == 2 && again.catalog.divergence == nil)
  }

  @Test("verify lists the pages that differ, and says when it lists only a part")
  func verify() throws {
    let standby = try open(machine)
    let flat = try standby.home.directory.openFile("scsi0-0-flat.vmdk", .readWrite)
    for page in [5, 101, 256] as [Int64] { try flip(flat, at: page * 4096 + 1) }
    #expect(try standby.verifyDisk(Bench.diskIDs[0]).differing == [5, 101, 256])
    let short = try standby.verifyDisk(Bench.diskIDs[0], listLimit: 2)
    #expect(short.differing == [5, 101] && short.isCutShort && !short.isClean)
    #expect(try standby.verifyDisk(Bench.diskIDs[1]).isClean)
  }

  @Test("a standby disk that is gone or has another size stops the VM")
  func changedFile() throws {
    for change in ["removed", "truncated"] {
      let copy = machine.restart(.none)
      let standby = try open(copy)
      if change == "removed" {
        try standby.home.directory.removeFile("scsi0-1-flat.vmdk")
      } else {
        try standby.home.directory.openFile("scsi0-1-flat.vmdk", .readWrite).truncate(to: 4096)
      }
      let error = #expect(throws: StandbyError.self) { _ = try standby.beginPass(second.offer(2)) }
      guard case .diverged(Bench.diskIDs[1], nil, _)? = error else { throw error ?? .storeMissing(path: "?") }
    }
  }

  @Test("a new key makes the map anew; the point is then known by the new root")
  func newKey() throws {
    let store = try Bench.store(on: machine)
    try store.rememberKey(Bench.otherKey)
    let other = try Sender(Bench.secondImage(), key: Bench.otherKey)
    let standby = try Bench.standby(in: store)
    let pass = try standby.beginPass(other.offer(2))
    #expect(try pass.digestView(disk: 0).root() == Sender(Bench.firstImage(), key: Bench.otherKey).roots[0])
    let sent = try other.send(to: pass)
    #expect(sent.data == [6, 2] && sent.zero == [2, 0])
    _ = try pass.commit(other.claims(sent))
    try pass.settle()
    try Checks([first, other]).holdsItsNewestPoint(standby, on: machine, "new key")
  }

  @Test("the torn end of a journal is cut off, whatever it holds, and the pass goes on")
  func tornTail() throws {
    for seed in 1...12 as ClosedRange<UInt64> {
      let copy = machine.restart(.none)
      let pass = try open(copy).beginPass(second.offer(2))
      try second.send(to: pass, pagesPerBatch: 1, limit: 5)
      try pass.sync()
      let end = pass.journal.endBytes
      // Three records more, never synced.
      for runs in try second.batches(for: 1, pass.digestView(disk: 1), pagesPerBatch: 1) {
        try second.withBatch(1, runs, codec: .raw) { try pass.append($0) }
      }
      let after = copy.restart(.random(seed: seed))
      let standby = try open(after)
      #expect(try standby.recovery.get() == .headStart, "seed \(seed)")
      let again = try standby.beginPass(second.offer(3))
      #expect(again.journal.endBytes >= end, "seed \(seed): what was acknowledged is kept")
      let sent = try second.send(to: again)
      _ = try again.commit(second.claims(sent))
      try again.settle()
      try checks.holdsItsNewestPoint(standby, on: after, "seed \(seed)")
    }
  }

  @Test("what a killed program never synced is durable before a commit builds on it")
  func unsyncedHeadStart() throws {
    let pass = try open(machine).beginPass(second.offer(2))
    for runs in try second.batches(for: 0, pass.digestView(disk: 0), pagesPerBatch: 4) {
      try second.withBatch(0, runs, codec: .raw) { try pass.append($0) }
    }
    let killed = machine.kill()
    let moments = Moments()
    killed.watch { moments.note($0) }
    try second.replicate(3, to: try open(killed))
    killed.watch(nil)
    let journalSyncs = moments.all.filter { $0.kind == .sync && $0.path.hasSuffix(".journal") }
    #expect(journalSyncs.count > 2)
    for moment in journalSyncs {
      for seed in 1...20 as ClosedRange<UInt64> {
        let after = moment.restart(.random(seed: seed))
        let standby = try open(after)
        #expect(throws: Never.self, "\(moment), seed \(seed)") { try standby.recovery.get() }
        try checks.holdsItsNewestPoint(standby, on: after, "\(moment), seed \(seed)")
      }
    }
  }

  @Test("a committed journal that is damaged is refused as a whole: nothing is written, nothing is dropped")
  func damagedJournal() throws {
    try commitSecond()
    for offset in [0, 40, 512 + 70, 1024 + 3, 2048 + 100] as [Int64] {
      let after = machine.restart(.none)
      let name = try #require(try Bench.store(on: after).standbys().first).directory
      let journals = try after.disk("store").openDirectory(name).openDirectory(".repl").openDirectory(
        "journal")
      let file = try #require(try journals.entryNames().first)
      try flip(try journals.openFile(file, .readWrite), at: offset)
      let standby = try open(after)
      let error = #expect(throws: StandbyError.self) { try standby.recovery.get() }
      guard case .journalDamaged? = error else { throw error ?? .storeMissing(path: "?") }
      #expect(try journals.entryNames() == [file])
      #expect(throws: StandbyError.self) { _ = try standby.beginPass(second.offer(3)) }
      let flat = try standby.home.directory.openFile("scsi0-0-flat.vmdk", .read)
      #expect(try isSame(Bench.bytes(of: flat), first.image.disks[0]))
    }
  }

  @Test("a marker without its journal is not explained away")
  func markerAlone() throws {
    var standby: Standby? = try open(machine)
    try standby?.home.directory.replaceFile("SETTLING.txt", with: [1])
    standby = nil
    #expect(throws: StandbyError.self) { try open(machine).recovery.get() }
  }

  @Test(
    "a damaged or newer catalog is an error that names it, is not overwritten, and keeps new standbys away")
  func catalogs() throws {
    let directory = try #require(try Bench.store(on: machine).standbys().first).directory
    let hidden = try machine.disk("store").openDirectory(directory).openDirectory(".repl")
    let good = try Bench.bytes(of: hidden.openFile("catalog", .read))
    let newer = Array("vmrepl-catalog 3 ".utf8) + good.dropFirst(17)
    var variants = [newer, [], Array(good.dropLast()), good + [0x20], Array("vmrepl-catalog\n".utf8)]
    for offset in [0, 20, good.count / 2, good.count - 2] {
      var bytes = good
      bytes[offset] ^= 1
      variants.append(bytes)
    }
    for (index, bytes) in variants.enumerated() {
      try hidden.replaceFile("catalog", with: bytes)
      let store = try Bench.store(on: machine)
      let summary = try #require(try store.standbys().first)
      #expect(summary.catalog == nil, "variant \(index)")
      switch summary.problem {
      case .newerFormat(let path, 3, 2): #expect(index == 0 && path.hasSuffix("/.repl/catalog"))
      case .catalogDamaged(let path, _): #expect(index > 0 && path.hasSuffix("/.repl/catalog"))
      default: Issue.record("variant \(index): \(String(describing: summary.problem))")
      }
      #expect(throws: StandbyError.self) {
        _ = try store.create(vm: Bench.vm, displayName: "x", owner: Bench.peer)
      }
      #expect(try Bench.bytes(of: hidden.openFile("catalog", .read)) == bytes, "variant \(index)")
    }
    try hidden.replaceFile("catalog", with: good)
    try checks.holdsItsNewestPoint(try open(machine), on: machine, "the good catalog again")
  }

  @Test("a directory without the store's file is no store")
  func noStore() throws {
    let empty = SimulatedMachine(disks: ["store", "state"])
    let error = #expect(throws: StandbyError.self) { _ = try Bench.store(on: empty) }
    guard case .storeMissing? = error else { throw error ?? .lockHeld(path: "?") }
    #expect(try empty.disk("store").entryNames().isEmpty)
    let made = try StandbyStore.initialize(root: empty.disk("store"), time: ManualTime())
    #expect(try StandbyStore.initialize(root: empty.disk("store"), time: ManualTime()) == made)
    #expect(try Bench.store(on: empty).id == made)
  }
}

/// Keeps what a watcher sees.
final class Moments: @unchecked Sendable {
  // SAFETY: one thread runs the test and the watcher.
  private(set) var all: [Moment] = []

  func note(_ moment: Moment) { all.append(moment) }
}
