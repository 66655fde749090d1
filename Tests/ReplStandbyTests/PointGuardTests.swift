import ReplDigest
import ReplIO
import ReplModel
import ReplTestKit
import Synchronization
import Testing

@testable import ReplStandby

/// Points that nobody may end, and what retention does around points that are damaged.
@Suite("Points that stay") struct PointGuardTests {
  private static func images(_ count: Int) -> [Image] {
    var images = [Image.tenPages()]
    for number in 1..<count {
      images.append(
        images[number - 1].changing([number % 10, (number + 3) % 10], seed: UInt64(number * 100)))
    }
    return images
  }

  /// A pass with the first disk alone: the second one has left the VM.
  private func replicateFirstDisk(_ number: Int, _ sender: Sender, to standby: Standby) throws {
    let pass = try standby.beginPass(sender.offer(number, disks: [0]))
    for file in pass.filesWanted {
      try pass.append(file, file == .vmx ? sender.image.vmx : sender.image.nvram)
    }
    var sent = Sender.Sent()
    for runs in try sender.batches(for: 0, pass.digestView(disk: 0), pagesPerBatch: 100) {
      try sender.withBatch(0, runs, codec: .raw) { try pass.append($0) }
      sent.data[0] += runs.dataPageCount
      sent.zero[0] += runs.zeroPageCount
    }
    _ = try pass.commit(CommitClaims(disks: [sender.claims(sent).disks[0]]))
    try pass.settle()
  }

  private func error(_ body: () throws -> Void) -> String {
    do { try body() } catch { return "\(error)" }
    return ""
  }

  @Test(
    "a disk that comes back ends no point that is pinned, read or younger than the floor: it is refused",
    arguments: ["pinned", "read", "young", "free"])
  func returningDisk(_ why: String) throws {
    let policy = RetentionPolicy(
      last: 10, hourly: 0, daily: 0, weekly: 0, floorSeconds: why == "young" ? 7200 : 600)
    let bench = try PointBench(Self.images(4), policy: policy)
    try bench.replicate(1)
    let store = try bench.store()
    let standby = try Bench.standby(in: store)
    try replicateFirstDisk(2, bench.senders[1], to: standby)
    let summary = try #require(try store.standbys().first)
    if why == "pinned" { try store.pin(PointBench.reference(1), reason: "", of: summary) }
    let reader: PointExtraction? =
      why == "read" ? try PointExtraction(PointBench.reference(1), of: summary, in: store) { _ in } : nil
    let offer = bench.senders[2].offer(3)
    guard why != "free" else {
      #expect(try standby.mayBegin(offer.disks[1]))
      _ = try standby.beginSeed(bench.senders[2].offer(3, disks: [1]))
      #expect(standby.catalog.points.map(\.reference) == [PointBench.reference(2)])
      let told = standby.takeDropped()
      #expect(told.map(\.point) == [PointBench.reference(1)] && told.map(\.reason) == [.returned])
      #expect(standby.takeDropped().isEmpty)
      return
    }
    #expect(try !standby.mayBegin(offer.disks[1]) && standby.mayBegin(offer.disks[0]))
    let before = standby.catalog
    for text in [
      error { _ = try standby.beginPass(offer) },
      error { _ = try standby.beginSeed(bench.senders[2].offer(3, disks: [1])) },
    ] {
      #expect(text.contains("recovery points 1.1 need"), "\(text)")
      #expect(text.contains("points drop \(Bench.vm) 1.1"), "\(text)")
    }
    #expect(standby.catalog == before && standby.takeDropped().isEmpty)
    withExtendedLifetime(reader) {}
    // The VM goes on without the disk meanwhile.
    try replicateFirstDisk(3, bench.senders[2], to: standby)
    #expect(standby.catalog.points.count == 3)
  }

  @Test("a pass that cannot fit is refused with every point kept; what went for one that failed is told")
  func refusedWithoutLoss() throws {
    let bench = try PointBench(Self.images(5))
    try bench.replicate(4)
    let standby = try Bench.standby(in: bench.store())
    let pass = try standby.beginPass(bench.senders[4].offer(5))
    let sent = try bench.senders[4].send(to: pass)
    let limit: Int64 = 1 << 40
    bench.machine.limitSpace(of: "store", toBytes: limit)
    let used = limit - (try bench.machine.disk("store").freeBytes())
    // One byte is free, and all undo files together give less than another VM's commit was promised.
    bench.machine.limitSpace(of: "store", toBytes: used + 1)
    let other = try #require(try standby.store.ledger.reserve(1 << 30) { () in 1 << 40 })
    let refusal = try #require(throws: StandbyError.self) {
      _ = try pass.commit(bench.senders[4].claims(sent))
    }
    #expect(refusal.isOutOfSpace)
    #expect(standby.catalog.points.count == 4 && standby.takeDropped().isEmpty)
    withExtendedLifetime(other) {}
    _ = consume other
    try pass.suspend()
    bench.machine.limitSpace(of: "store", toBytes: nil)
    try bench.senders[4].replicate(5, to: standby)
    #expect(standby.catalog.points.count == 5)
  }

  @Test(
    "a damaged undo file keeps retention from nothing but its merge, and the points behind it are marked",
    arguments: [1, 2])
  func damagedUndoFile(_ damaged: Int) throws {
    let bench = try PointBench(Self.images(6))
    try bench.replicate(5)
    let store = try bench.store()
    let standby = try Bench.standby(in: store)
    let points = standby.home.points
    let file = try points.openFile("1.\(damaged).undo", .readWrite)
    try Damage.flip(file, at: 512 + 1000)
    try standby.dropPoint(PointBench.reference(4))
    #expect(standby.catalog.kept.allSatisfy { !$0.isDamaged }, "not on the way of this merge")
    // The undo file of 1.2 would go into that of 1.1.
    try standby.dropPoint(PointBench.reference(2))
    #expect(standby.catalog.kept.map(\.isDamaged) == [true, false, false])
    #expect(standby.catalog.kept[0].damage[0].detail.contains("1.\(damaged).undo"))
    let listed = try store.points(of: try #require(try store.standbys().first))
    #expect(listed.map { $0.problem != nil } == [false, false, true])
    #expect(try points.contains("1.1.undo") && points.contains("1.2.undo") && !points.contains("1.4.undo"))
    // Nothing is read or marked again by the next ones.
    let marked = standby.catalog
    try standby.tidyUndoFiles()
    #expect(standby.catalog == marked)
    try bench.senders[5].replicate(6, to: standby)
    #expect(try bench.extract(3).first.map { isSame($0, bench.senders[2].image.disks[0]) } == true)
    // The files go with the last point that needs them.
    try standby.dropPoint(PointBench.reference(1))
    #expect(try !points.contains("1.1.undo") && !points.contains("1.2.undo"))
  }

  @Test("the bytes of a merge are promised to it while it runs, and it waits where others were promised them")
  func mergeIsPromisedItsSpace() throws {
    let bench = try PointBench(Self.images(5))
    try bench.replicate(4)
    let store = try bench.store()
    let standby = try Bench.standby(in: store)
    let free: Int64 = 1 << 30
    bench.machine.limitSpace(of: "store", toBytes: free)
    let left = try standby.freeBytesAboveFloor()
    do {
      let other = try #require(try store.ledger.reserve(left - 16) { () in left })
      try standby.dropPoint(PointBench.reference(2))
      #expect(try standby.home.points.contains("1.2.undo"), "there is no room for it")
      withExtendedLifetime(other) {}
    }
    let most = Mutex<Int64>(0)
    bench.machine.watch { _ in most.withLock { $0 = max($0, store.ledger.promisedBytes) } }
    try standby.tidyUndoFiles()
    bench.machine.watch(nil)
    #expect(try !standby.home.points.contains("1.2.undo"))
    #expect(most.withLock { $0 } > 0 && store.ledger.promisedBytes == 0)
    bench.machine.limitSpace(of: "store", toBytes: nil)
    #expect(try bench.differing().isEmpty)
  }

  @Test("a file of the VM is taken once: a peer that repeats it fills nothing")
  func repeatedFile() throws {
    let bench = try PointBench(Self.images(2))
    let standby = try Bench.standby(in: bench.store())
    let sender = bench.senders[0]
    let pass = try standby.beginPass(sender.offer(1))
    try pass.append(.vmx, sender.image.vmx)
    let held = pass.journal.endBytes
    #expect(error { try pass.append(.vmx, sender.image.vmx) }.contains("it is here already"))
    #expect(pass.journal.endBytes == held)
    let sent = try sender.send(to: pass)
    _ = try pass.commit(sender.claims(sent))
    try pass.settle()
  }

  @Test("a file counts for the journal's budget")
  func fileInBudget() throws {
    let machine = try Bench.machine()
    let sender = try Sender(Bench.firstImage())
    let store = try Bench.store(on: machine, options: StoreOptions(journalBudgetBytes: 16))
    let pass = try Bench.standby(in: store).beginPass(sender.offer(1))
    let text = error { try pass.append(.vmx, sender.image.vmx) }
    #expect(text.contains("journal of this pass"), "\(text)")
  }

  @Test("a reader that waits for another one keeps nobody from deciding which points go")
  func waitingReader() throws {
    let bench = try PointBench(Self.images(2))
    try bench.replicate()
    let store = try bench.store()
    let summary = try #require(try store.standbys().first)
    let home = try StandbyHome.open(summary.directory, in: store.root)
    let holds = PointHolds(points: home.points)
    let reference = PointBench.reference(1)
    let reader = try store.hold(reference, of: summary, in: home)
    #expect(try holds.hold(reference) == nil, "it does not wait")
    let second = Mutex<Result<FileLock, StandbyError>?>(nil)
    let thread = NamedThread.start("reader") {
      let found = Result { () throws(StandbyError) in try store.hold(reference, of: summary, in: home) }
      second.withLock { $0 = found }
    }
    for _ in 0..<20 { withExtendedLifetime(try holds.lock()) {} }
    withExtendedLifetime(reader) {}
    _ = consume reader
    thread.join()
    #expect(throws: Never.self) { _ = try second.withLock { try $0?.get() } }
    #expect(try holds.held() == [reference])
  }

  @Test("reading a point leaves no map behind, whenever it is killed")
  func noMapIsLeft() throws {
    let bench = try PointBench(Self.images(2))
    try bench.replicate()
    let store = try bench.store()
    let summary = try #require(try store.standbys().first)
    let maps = try store.maps.openDirectory(try #require(summary.catalog).standby.description)
    let before = try maps.entryNames().sorted()
    let seen = Mutex<[[String]]>([])
    let extraction = try PointExtraction(PointBench.reference(1), of: summary, in: store) { progress in
      // What cannot be listed is not as before.
      let names = (try? maps.entryNames().sorted()) ?? []
      if progress.step == "check" { seen.withLock { $0.append(names) } }
    }
    let target = try bench.machine.disk("store").createDirectory("mounted")
    #expect(try extraction.run(into: target).isVerified)
    let during = seen.withLock { $0 }
    #expect(!during.isEmpty && during.allSatisfy { $0 == before }, "\(during)")
  }

  @Test("a merge deals with so many pages of all disks together at a time, and with each of them once")
  func portions() {
    #expect(UndoMerge.portions([], limit: 10).isEmpty)
    #expect(UndoMerge.portions([3, 4, 3], limit: 10) == [[0: 0..<3, 1: 0..<4, 2: 0..<3]])
    #expect(
      UndoMerge.portions([7, 25, 1], limit: 10) == [
        [0: 0..<7, 1: 0..<3], [1: 3..<13], [1: 13..<23], [1: 23..<25, 2: 0..<1],
      ])
  }

  @Test("an undo file that is open and not being read holds no buffer")
  func noBuffer() throws {
    let bench = try PointBench(Self.images(2))
    try bench.replicate()
    let standby = try Bench.standby(in: bench.store())
    let file = try #require(try UndoFile.open(backTo: PointBench.reference(1), in: standby.home.points))
    #expect(!file.reader.holdsBuffer)
    var records = 0
    try file.forEach { (_, _) throws(StandbyError) in
      records += 1
      guard file.reader.holdsBuffer else { throw .badOffer(detail: "a record without a buffer") }
    }
    #expect(records > 0 && !file.reader.holdsBuffer)
  }
}
