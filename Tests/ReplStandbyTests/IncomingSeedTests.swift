import ReplCompression
import ReplDigest
import ReplIO
import ReplModel
import ReplTestKit
import Synchronization
import Testing

@testable import ReplStandby

/// A VM whose standby has points of its first disk only, and the sessions that bring the second.
private enum AddedDisk {
  static let disk = 1

  /// A pass of the first disk alone, up to its commit; `limit` ends it before, after so many batches.
  static func passOfTheFirst(
    _ sender: Sender, _ number: Int, to standby: Standby, limit: Int = .max
  ) throws -> (IncomingPass, Sender.Sent) {
    let pass = try standby.beginPass(sender.offer(number, disks: [0]))
    for file in pass.filesWanted {
      try pass.append(file, file == .vmx ? sender.image.vmx : sender.image.nvram)
    }
    var sent = Sender.Sent()
    for runs in try sender.batches(for: 0, pass.digestView(disk: 0), pagesPerBatch: 4).prefix(limit) {
      try sender.withBatch(0, runs, codec: .zlib) { try pass.append($0) }
      sent.data[0] += runs.dataPageCount
      sent.zero[0] += runs.zeroPageCount
    }
    try pass.sync()
    return (pass, sent)
  }

  static func commitTheFirst(_ sender: Sender, _ number: Int, to standby: Standby) throws {
    let (pass, sent) = try passOfTheFirst(sender, number, to: standby)
    let claim = CommitClaims.Disk(root: sender.roots[0], dataPages: sent.data[0], zeroPages: sent.zero[0])
    _ = try pass.commit(CommitClaims(disks: [claim]))
    try pass.settle()
  }

  /// A seed session of the second disk, up to before its end. Answers how many batches it had to send.
  static func seed(
    _ sender: Sender, _ number: Int, to standby: Standby, limit: Int = .max
  ) throws -> (IncomingSeed, batches: Int) {
    let seed = try standby.beginSeed(sender.offer(number, disks: [disk]))
    let all = try sender.batches(for: disk, seed.digestView(disk: 0), pagesPerBatch: 2)
    for (count, runs) in all.prefix(limit).enumerated() {
      try sender.withBatch(disk, runs, codec: Codec.allCases[count % 3]) { batch in
        try seed.append(
          ReceivedBatch(
            diskIndex: 0, codec: batch.codec, runs: batch.runs, rawLength: batch.rawLength,
            digest: batch.digest, payload: batch.payload))
      }
      if count % 2 == 1 { try seed.sync() }
    }
    return (seed, all.count)
  }
}

/// Every look at the clock takes a second.
private final class SteppingTime: TimeSource {
  private let looks = Atomic<Int64>(1)

  func monotonicNanoseconds() -> Int64 { looks.add(1, ordering: .relaxed).newValue * 1_000_000_000 }
  func wallTime() -> WallTime { WallTime(millisecondsSince1970: 1_800_000_000_000) }
}

@Suite("Seeds of added disks") struct IncomingSeedTests {
  private let senders = CrashSweepTests.senders

  /// A machine with a point of the first disk.
  private func machine() throws -> SimulatedMachine {
    let machine = try Bench.machine()
    try AddedDisk.commitTheFirst(senders[0], 1, to: Bench.standby(in: Bench.store(on: machine)))
    return machine
  }

  private func open(_ machine: SimulatedMachine) throws -> Standby {
    try Bench.standby(in: Bench.store(on: machine))
  }

  /// A whole session; answers how many batches there were to send. The standby is closed after it.
  private func session(
    _ sender: Sender, _ number: Int, on machine: SimulatedMachine, limit: Int = .max
  ) throws -> Int {
    let (seed, batches) = try AddedDisk.seed(sender, number, to: open(machine), limit: limit)
    try seed.suspend()
    return batches
  }

  /// A pass of the first disk that comes to nothing; answers the pages that it sent.
  private func interruptedPass(
    _ sender: Sender, _ number: Int, on machine: SimulatedMachine, limit: Int
  ) throws -> Int64 {
    let (pass, sent) = try AddedDisk.passOfTheFirst(sender, number, to: open(machine), limit: limit)
    try pass.suspend()
    return sent.data[0] + sent.zero[0]
  }

  private func bytes(_ machine: SimulatedMachine, _ standby: Standby, _ index: Int) throws -> [UInt8] {
    let entry = try #require(standby.catalog.disk(Bench.diskIDs[index]))
    let home = try machine.disk("store").openDirectory(standby.directoryName)
    return try Bench.bytes(of: home.openFile(entry.flatFileName, .read))
  }

  @Test(
    "a session goes on with what the one before brought, and the pass that takes the disk in sends the rest")
  func headStart() throws {
    let machine = try machine()
    #expect(try session(senders[0], 10, on: machine, limit: 2) == 4)
    #expect(try session(senders[0], 11, on: machine) == 2, "what the first one brought is not asked for")
    let standby = try open(machine)
    #expect(standby.catalog.disk(Bench.diskIDs[1])?.state == .seeding)
    #expect(standby.catalog.newest?.disks.map(\.disk) == [Bench.diskIDs[0]])
    let sent = try senders[0].replicate(2, to: standby)
    #expect(sent == Sender.Sent(), "nothing has changed, so nothing is sent")
    #expect(standby.catalog.disk(Bench.diskIDs[1])?.state == .ready)
    #expect(try bytes(machine, standby, 1) == senders[0].image.disks[1])
  }

  @Test("passes of the other disks commit between the sessions, and leave the seeding disk alone")
  func betweenPasses() throws {
    let machine = try machine()
    _ = try session(senders[0], 10, on: machine, limit: 3)
    try AddedDisk.commitTheFirst(senders[1], 2, to: open(machine))
    #expect((1..<4).contains(try session(senders[1], 11, on: machine)))
    let standby = try open(machine)
    #expect(standby.catalog.newest?.reference.number == 2)
    #expect(try bytes(machine, standby, 0) == senders[1].image.disks[0])
    #expect(try bytes(machine, standby, 1) == senders[1].image.disks[1])
    #expect(try senders[1].replicate(3, to: standby) == Sender.Sent())
  }

  @Test("the journal of an interrupted pass survives a seed session and is the next pass's head start")
  func journalSurvives() throws {
    let machine = try machine()
    #expect(try interruptedPass(senders[1], 2, on: machine, limit: 2) == 8)
    _ = try session(senders[1], 10, on: machine)
    let (_, rest) = try AddedDisk.passOfTheFirst(senders[1], 3, to: open(machine))
    let whole = try AddedDisk.passOfTheFirst(senders[1], 2, to: open(try self.machine())).1
    #expect(rest.data[0] + rest.zero[0] == whole.data[0] + whole.zero[0] - 8)
  }

  @Test("a VM without a point, a disk of the newest point, and all that refuses a pass refuse a seed")
  func refusals() throws {
    let empty = try open(Bench.machine())
    #expect(throws: StandbyError.self) { try empty.beginSeed(senders[0].offer(9, disks: [1])) }
    #expect(empty.catalog.disks.isEmpty, "refused before anything is entered")
    let standby = try open(machine())
    let before = standby.catalog
    let ready = #expect(throws: StandbyError.self) {
      try standby.beginSeed(senders[0].offer(9, disks: [0]))
    }
    #expect(ready?.description.contains("holds") == true)
    for offer in [
      senders[0].offer(9, owner: "mallory", disks: [1]), senders[0].offer(9, epoch: Epoch(7), disks: [1]),
      try Sender(Bench.firstImage(), key: Bench.otherKey).offer(9, disks: [1]),
    ] {
      #expect(throws: StandbyError.self) { try standby.beginSeed(offer) }
    }
    #expect(standby.catalog == before)
    try standby.fence(reason: "test")
    let fenced = #expect(throws: StandbyError.self) {
      try standby.beginSeed(senders[0].offer(9, disks: [1]))
    }
    #expect(fenced?.description.contains("promoted") == true)
  }

  @Test("a fence or a failover request during a session ends it, and the VM starts without the new disk")
  func failoverMeanwhile() throws {
    let machine = try machine()
    let store = try Bench.store(on: machine)
    let standby = try Bench.standby(in: store)
    let (seed, _) = try AddedDisk.seed(senders[0], 10, to: standby, limit: 1)
    let request = try #require(try store.requestFailover(vm: Bench.vm))
    let asked = #expect(throws: StandbyError.self) { try seed.sync() }
    #expect(asked?.description.contains("failover") == true)
    try seed.suspend()
    withExtendedLifetime(request) {}
    try standby.fence(reason: "test")
    #expect(throws: StandbyError.self) { try seed.append(Self.anyBatch) }
    try standby.placeFiles(startable: true)
    let home = try machine.disk("store").openDirectory(standby.directoryName)
    #expect(try home.contains("scsi0-0.vmdk") && !home.contains("scsi0-1.vmdk"))
    #expect(try home.contains("web-01.vmx"))
  }

  private static var anyBatch: ReceivedBatch {
    ReceivedBatch(
      diskIndex: 0, codec: .raw, runs: [PageRun(kind: .zero, firstPage: 0, pageCount: 1)], rawLength: 0,
      digest: .zero, payload: UnsafeRawBufferPointer(start: nil, count: 0))
  }

  @Test("after a crash the disk is read a part at a time, goes on, makes way for a failover, and is right")
  func readingAgain() throws {
    let before = try machine()
    do {
      let (seed, _) = try AddedDisk.seed(senders[0], 10, to: open(before))
      try seed.sync()
    }
    // Killed: nobody has put the map back.
    let machine = before.kill()
    let store = try Bench.store(on: machine)
    let standby = try Bench.standby(in: store)
    let offered = senders[0].offer(11).disks
    #expect(!standby.knowsContent(of: offered[1]) && standby.knowsContent(of: offered[0]))
    let disk = Bench.diskIDs[1]
    let offer = senders[0].offer(11, disks: [1])
    for _ in 0..<2 {
      let error = #expect(throws: StandbyError.self) { try standby.beginSeed(offer, readingSeconds: 0) }
      #expect(error?.remedy == .retryPass && error?.description.contains("goes on by itself") == true)
    }
    do {
      let request = try #require(try store.requestFailover(vm: Bench.vm))
      #expect(throws: StandbyError.self) { try standby.beginSeed(offer) }
      withExtendedLifetime(request) {}
    }
    let (seed, batches) = try AddedDisk.seed(senders[0], 12, to: standby)
    #expect(batches == 0, "all that was acknowledged is still here")
    try seed.suspend()
    #expect(standby.knowsContent(of: offered[1]))
    #expect(try senders[0].replicate(2, to: standby) == Sender.Sent())
    #expect(try standby.verifyDisk(disk).isClean)
  }

  @Test("a sparse disk that is read again makes way as well, wherever its pages are")
  func readingSparse() throws {
    var image = Bench.firstImage()
    image.disks[1] = [UInt8](repeating: 0, count: 4 << 20)
    for page in [300, 600, 900] { image.fill(1, page, UInt64(page)) }
    let sender = try Sender(image)
    let before = try machine()
    do {
      let (seed, _) = try AddedDisk.seed(sender, 10, to: open(before))
      try seed.sync()
    }
    let standby = try open(before.kill())
    let offer = sender.offer(11, disks: [1])
    let error = #expect(throws: StandbyError.self) { try standby.beginSeed(offer, readingSeconds: 0) }
    guard case .readingAgain = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    try standby.beginSeed(offer).suspend()
    try standby.removeDisk(Bench.diskIDs[1])
    #expect(try !standby.maps.entryNames().contains { $0.hasPrefix("\(Bench.diskIDs[1])") })
  }

  @Test("a power cut between two parts of a reading loses nothing of what was read, in disk and map")
  func readingCut() throws {
    var image = Bench.firstImage()
    image.disks[1] = [UInt8](repeating: 0, count: 18 << 20)
    for leaf in 0..<18 { image.fill(1, leaf * 256, UInt64(leaf + 1)) }
    let sender = try Sender(image)
    let before = try machine()
    let runs = (0..<18).map { PageRun(kind: .data, firstPage: $0 * 256, pageCount: 1) }
    do {
      let seed = try open(before).beginSeed(sender.offer(10, disks: [1]))
      try sender.withBatch(1, runs, codec: .raw) { batch in
        try seed.append(
          ReceivedBatch(
            diskIndex: 0, codec: batch.codec, runs: runs, rawLength: batch.rawLength,
            digest: batch.digest, payload: batch.payload))
      }
    }
    // Killed before any sync: what the next program reads is in the cache, and nowhere else.
    let machine = before.kill()
    let store = try StandbyStore(
      root: machine.disk("store"), state: machine.disk("state"), receiver: Bench.receiver,
      time: SteppingTime(), files: PlainFiles(), freeSpaceFloorBytes: 0)
    let offer = sender.offer(11, disks: [1])
    let error = #expect(throws: StandbyError.self) {
      try Bench.standby(in: store).beginSeed(offer, readingSeconds: 1.5)
    }
    guard case .readingAgain(_, 16 << 20, 18 << 20) = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    let seed = try open(machine.restart(.none)).beginSeed(offer)
    #expect(try seed.digestView(disk: 0).root() == sender.roots[1])
  }

  @Test("a disk that must be read before a pass can take it in is known for one")
  func contentKnown() throws {
    let machine = try Bench.machine()
    let standby = try open(machine)
    let offered = senders[0].offer(1).disks[1]
    #expect(standby.knowsContent(of: offered), "nothing is here of a new disk")
    try senders[0].replicate(1, to: standby)
    #expect(standby.knowsContent(of: offered), "a point holds it")
    try AddedDisk.commitTheFirst(senders[1], 2, to: standby)
    #expect(standby.catalog.disk(offered.disk)?.state == .detached)
    #expect(standby.knowsContent(of: offered), "its map is here")
    var image = Bench.firstImage()
    image.grow(1, to: 2 << 20)
    #expect(try !standby.knowsContent(of: Sender(image).offer(3).disks[1]), "it grew while it was detached")
    let rekeyed = try Sender(Bench.firstImage(), key: Bench.otherKey)
    #expect(!standby.knowsContent(of: rekeyed.offer(3).disks[1]), "its map has another key")
    try standby.maps.removeFile(StandbyLayout.map(of: offered.disk))
    #expect(!standby.knowsContent(of: offered), "its map is lost")
  }

  @Test(
    "a disk that cannot be opened does not make the disks before it be read again", arguments: [true, false])
  func openedBefore(isPass: Bool) throws {
    let machine = try machine()
    let standby = try open(machine)
    let offer = senders[0].offer(10, disks: [1])
    let (known, lost) = (
      offer.disks[0],
      PassOffer.Disk(
        disk: DiskID(high: 0xd, low: 9), slot: DiskSlot("scsi0:9")!, grid: Bench.grids[1],
        keyID: Bench.key.id, facts: DiskFacts(entries: []))
    )
    func both(_ number: Int, with first: [PassOffer.Disk] = []) -> PassOffer {
      PassOffer(
        vm: offer.vm, displayName: offer.displayName, owner: offer.owner, pass: Bench.pass(number),
        frozenAt: offer.frozenAt, label: offer.label, epoch: offer.epoch, disks: first + [known, lost],
        vmxHash: offer.vmxHash, nvramHash: offer.nvramHash)
    }
    let seed = try standby.beginSeed(both(10))
    let runs = [PageRun(kind: .data, firstPage: 0, pageCount: 4)]
    for index in 0..<2 {
      try senders[0].withBatch(1, runs, codec: .raw) { batch in
        try seed.append(
          ReceivedBatch(
            diskIndex: index, codec: batch.codec, runs: runs, rawLength: batch.rawLength,
            digest: batch.digest, payload: batch.payload))
      }
    }
    try seed.suspend()
    try standby.maps.removeFile(StandbyLayout.map(of: lost.disk))
    if isPass {
      // The store fails at the second one.
      let file = try #require(standby.catalog.disk(lost.disk)).flatFileName
      try standby.home.directory.removeFile(file)
      _ = try standby.home.directory.createDirectory(file)
      let first = senders[0].offer(1, disks: [0]).disks
      #expect(throws: StandbyError.self) { try standby.beginPass(both(11, with: first)) }
    } else {
      #expect(throws: StandbyError.self) { try standby.beginSeed(both(11), readingSeconds: 0) }
    }
    #expect(standby.knowsContent(of: known) && !standby.knowsContent(of: lost))
  }

  @Test("a damaged batch leaves the session going, and a foreign disk index is refused")
  func damaged() throws {
    let standby = try open(machine())
    let (seed, _) = try AddedDisk.seed(senders[0], 10, to: standby, limit: 1)
    try senders[0].withBatch(1, [PageRun(kind: .data, firstPage: 3, pageCount: 1)], codec: .raw) { batch in
      for (index, digest) in [(0, PageDigest.zero), (1, batch.digest)] {
        #expect(throws: StandbyError.self) {
          try seed.append(
            ReceivedBatch(
              diskIndex: index, codec: batch.codec, runs: batch.runs, rawLength: batch.rawLength,
              digest: digest, payload: batch.payload))
        }
      }
    }
    try seed.sync()
    try seed.suspend()
    #expect(throws: StandbyError.self, "it has ended") { try seed.sync() }
  }
}

/// Power cuts at every durable operation of seed sessions between passes.
@Suite("Power cuts during seeds") struct SeedSweepTests {
  private static let senders = CrashSweepTests.senders

  private struct Cut: Sendable {
    let moment: Moment
    /// The number of the newest point of the first disk whose commit had returned.
    let acknowledged: Int
  }

  /// A pass of the first disk, an interrupted one, a seed that ends well, one that is cut off, a pass.
  private static let cuts: [Cut] = {
    do {
      let machine = try Bench.machine()
      try AddedDisk.commitTheFirst(senders[0], 1, to: Bench.standby(in: Bench.store(on: machine)))
      let acknowledged = Mutex(1)
      let found = Mutex<[Cut]>([])
      machine.watch { moment in
        let count = acknowledged.withLock { $0 }
        found.withLock { $0.append(Cut(moment: moment, acknowledged: count)) }
      }
      let store = try Bench.store(on: machine)
      try AddedDisk.passOfTheFirst(senders[1], 50, to: Bench.standby(in: store), limit: 2).0.suspend()
      try AddedDisk.seed(senders[0], 60, to: Bench.standby(in: store), limit: 3).0.suspend()
      try AddedDisk.seed(senders[1], 61, to: Bench.standby(in: store)).0.sync()
      try AddedDisk.commitTheFirst(senders[1], 2, to: Bench.standby(in: store))
      acknowledged.withLock { $0 = 2 }
      try AddedDisk.seed(senders[2], 62, to: Bench.standby(in: store)).0.suspend()
      machine.watch(nil)
      return found.withLock { $0 }
    } catch { fatalError("\(error)") }
  }()

  @Test(
    "a cut at any operation keeps the other disk's point, and seed and passes go on to a right copy of both",
    arguments: [Survivors.none, .all, .random(seed: 3)])
  func sweep(survivors: Survivors) throws {
    #expect(Self.cuts.count > 100)
    var survived = 0
    for (index, cut) in Self.cuts.enumerated() {
      let context = "\(cut.moment), survivors \(survivors)"
      let machine = index % 4 == 3 ? cut.moment.kill() : cut.moment.restart(survivors)
      let store = try Bench.store(on: machine)
      for result in try store.recoverAll() {
        if case .failure(let error) = result.outcome { Issue.record("\(context): \(error)") }
      }
      let standby = try #require(try store.open(vm: Bench.vm), "\(context)")
      let newest = try #require(standby.catalog.newest, "\(context)")
      let number = Int(newest.reference.number)
      #expect(number == cut.acknowledged || number == cut.acknowledged + 1, "\(context)")
      #expect(newest.disks.map(\.disk) == [Bench.diskIDs[0]], "\(context)")
      try check(machine, standby, 0, Self.senders[number - 1], context)
      if case .success(.headStart) = standby.recovery { survived += 1 }
      // Another view than any before: what a cut left behind must not pass for its pages.
      let (seed, _) = try AddedDisk.seed(CrashSweepTests.variant, 70, to: standby)
      try seed.suspend()
      try Self.senders[2].replicate(3, to: standby)
      for disk in 0..<2 { try check(machine, standby, disk, Self.senders[2], "\(context), at the end") }
    }
    #expect(survived > 20, "the journal of the interrupted pass must survive the seeds: \(survived)")
  }

  private func check(
    _ machine: SimulatedMachine, _ standby: Standby, _ index: Int, _ sender: Sender, _ context: String
  ) throws {
    let entry = try #require(standby.catalog.disk(Bench.diskIDs[index]), "\(context)")
    let home = try machine.disk("store").openDirectory(standby.directoryName)
    let bytes = try Bench.bytes(of: home.openFile(entry.flatFileName, .read))
    #expect(isSame(bytes, sender.image.disks[index]), "\(context): disk \(index)")
    #expect(try standby.verifyDisk(Bench.diskIDs[index]).isClean, "\(context): disk \(index)")
  }
}
