import ReplCompression
import ReplDigest
import ReplIO
import ReplModel
import ReplTestKit
import Testing

@testable import ReplStandby

@Suite("Refusals") struct RefusalTests {
  private let first: Sender
  private let second: Sender
  private let machine: SimulatedMachine
  private let store: StandbyStore
  private let standby: Standby

  init() throws {
    first = try Sender(Bench.firstImage())
    second = try Sender(Bench.secondImage())
    machine = try Bench.machine()
    store = try Bench.store(on: machine)
    standby = try Bench.standby(in: store)
    try first.replicate(1, to: standby)
  }

  /// The error of `body`, as the name of its case.
  private func refusal(_ body: () throws -> Void) -> String {
    do {
      try body()
      return "none"
    } catch let error as StandbyError {
      #expect(!error.description.isEmpty)
      return Mirror(reflecting: error).children.first?.label ?? "?"
    } catch { return "\(error)" }
  }

  private func offer(
    vm: VMID = Bench.vm, epoch: Epoch? = nil, grids: [PageGrid] = Bench.grids,
    disks: [DiskID] = Bench.diskIDs,
    slots: [String] = ["scsi0:0", "scsi0:1"], key: KeyID = Bench.key.id
  ) -> PassOffer {
    PassOffer(
      vm: vm, displayName: "web 01", owner: Bench.peer, pass: Bench.pass(2),
      frozenAt: WallTime(millisecondsSince1970: 0), label: .quiesced, epoch: epoch,
      disks: disks.indices.map {
        .init(
          disk: disks[$0], slot: DiskSlot(slots[$0])!, grid: grids[$0], keyID: key,
          facts: DiskFacts(entries: []))
      }, vmxHash: nil, nvramHash: nil)
  }

  @Test("an offer that does not fit the standby is refused, and the standby stays as it is")
  func offers() throws {
    let smaller = PageGrid(sizeBytes: Bench.grids[0].sizeBytes - 512, pageSizeBytes: 4096)!
    let coarser = PageGrid(sizeBytes: Bench.grids[0].sizeBytes, pageSizeBytes: 8192)!
    let largerAndCoarser = PageGrid(sizeBytes: Bench.grids[0].sizeBytes + 8192, pageSizeBytes: 8192)!
    let cases: [(String, PassOffer)] = [
      ("notYours", second.offer(2, owner: "another")),
      ("badOffer", offer(vm: VMID(high: 1, low: 1))),
      ("badOffer", offer(disks: [])),
      ("badOffer", offer(disks: [Bench.diskIDs[0], Bench.diskIDs[0]])),
      ("badOffer", offer(slots: ["scsi0:1", "scsi0:1"])),
      ("diskChanged", offer(grids: [smaller, Bench.grids[1]])),
      ("diskChanged", offer(grids: [coarser, Bench.grids[1]])),
      ("diskChanged", offer(grids: [largerAndCoarser, Bench.grids[1]])),
      ("staleEpoch", offer(epoch: Epoch(0))),
      ("staleEpoch", offer(epoch: Epoch(2))),
      ("keyMissing", offer(key: KeyID(high: 5, low: 5))),
    ]
    let before = try Bench.bytes(of: standby.home.privateDirectory.openFile("catalog", .read))
    for (expected, offer) in cases {
      #expect(refusal { _ = try standby.beginPass(offer) } == expected)
    }
    #expect(try Bench.bytes(of: standby.home.privateDirectory.openFile("catalog", .read)) == before)
    try Checks([first]).holdsItsNewestPoint(standby, on: machine, "after the refusals")
    #expect(store.freeSpaceFloorBytes == 0)
  }

  @Test("a promoted standby is never written: not by a pass, not by a commit under way, not after a restart")
  func fenced() throws {
    let pass = try standby.beginPass(second.offer(2))
    let sent = try second.send(to: pass)
    // The fence is raised by a program that did not ask for the lock.
    var catalog = standby.catalog
    catalog.epoch = Epoch(2)
    catalog.fence = .init(epoch: Epoch(2), at: WallTime(millisecondsSince1970: 5), reason: "fire", point: nil)
    try catalog.save(in: standby.home.privateDirectory)
    #expect(refusal { _ = try pass.commit(second.claims(sent)) } == "fenced")
    try pass.suspend()

    let after = machine.restart(.none)
    let reopened = try Bench.standby(in: Bench.store(on: after))
    #expect(try reopened.recovery.get() == .fenced)
    #expect(refusal { _ = try reopened.beginPass(second.offer(3)) } == "fenced")
    #expect(refusal { _ = try reopened.beginPass(second.offer(3, epoch: Epoch(2))) } == "fenced")
    try Checks([first]).holdsItsNewestPoint(reopened, on: after, "fenced")
  }

  @Test("fencing raises the epoch, survives a power cut, can be done again, and makes the VMX startable")
  func fencing() throws {
    try standby.fence(reason: "site lost\u{1B}[31m")
    try standby.placeFiles(startable: true)
    let after = machine.restart(.none)
    let reopened = try Bench.standby(in: Bench.store(on: after))
    let fence = try #require(reopened.catalog.fence)
    #expect(
      fence.epoch == Epoch(2) && reopened.catalog.epoch == Epoch(2)
        && fence.point == PointReference(epoch: Epoch(1), number: 1))
    #expect(!fence.reason.utf8.contains(0x1B))
    try reopened.fence(reason: "again")
    #expect(reopened.catalog.fence == fence)
    let vmx = try Bench.bytes(of: reopened.home.directory.openFile("web-01.vmx", .read))
    #expect(String(decoding: vmx, as: UTF8.self).hasPrefix("# may be started\n"))
  }

  @Test("a failover that waits makes the running pass stop, and ends with whoever asked for it")
  func failoverRequest() throws {
    let pass = try standby.beginPass(second.offer(2))
    let sent = try second.send(to: pass)
    var request = try store.requestFailover(vm: Bench.vm)
    #expect(request != nil)
    #expect(refusal { try pass.sync() } == "interruptedByFailover")
    #expect(refusal { _ = try pass.commit(second.claims(sent)) } == "interruptedByFailover")
    #expect(refusal { _ = try standby.beginPass(second.offer(3)) } == "interruptedByFailover")
    #expect(refusal { _ = try store.requestFailover(vm: Bench.vm) } == "lockHeld")
    try pass.suspend()
    request = nil
    #expect(refusal { try second.replicate(3, to: standby) } == "none")
    try Checks([first, second, second]).holdsItsNewestPoint(standby, on: machine, "after the request")
  }

  @Test("a standby is held by one at a time")
  func lock() throws {
    #expect(refusal { _ = try store.open(vm: Bench.vm) } == "lockHeld")
    #expect(refusal { _ = try store.create(vm: Bench.vm, displayName: "x", owner: "y") } == "duplicateVM")
  }

  @Test("a batch that is not what it claims is refused before anything is written, and the pass goes on")
  func hostileBatches() throws {
    let pass = try standby.beginPass(second.offer(2))
    let journalBytes = pass.journal.endBytes
    let bytes = PageMaker.random(byteCount: 8192, seed: 5)
    let good = PageRun(kind: .data, firstPage: 3, pageCount: 2)
    let cases: [(runs: [PageRun], raw: Int, codec: Codec, payload: Int)] = [
      ([good], 8192, .raw, 8192),  // a digest that is not its pages'
      ([], 0, .raw, 0),
      ([good], 4096, .raw, 4096),
      ([good], 8192, .raw, 100),
      ([good], 8192, .zlib, 8192),
      ([good], 8192, .zstd, 8192),
      ([PageRun(kind: .data, firstPage: 256, pageCount: 2)], 8192, .raw, 8192),
      ([PageRun(kind: .data, firstPage: Int64.max - 1, pageCount: 2)], 8192, .raw, 8192),
      ([PageRun(kind: .zero, firstPage: 0, pageCount: Int64.max)], 0, .raw, 0),
      ([good, PageRun(kind: .zero, firstPage: 4, pageCount: 1)], 8192, .raw, 8192),
      ([good], Int.max, .raw, 8192),
      ([good], -1, .raw, 8192),
    ]
    for (index, each) in cases.enumerated() {
      let found = bytes.prefix(each.payload).withUnsafeBytes { payload in
        refusal {
          try pass.append(
            ReceivedBatch(
              diskIndex: 0, codec: each.codec, runs: each.runs, rawLength: each.raw,
              digest: PageDigest(low: 1, high: 2), payload: payload))
        }
      }
      #expect(found == "damagedBatch", "case \(index)")
    }
    for index in [-1, 2, Int.max] {
      let batch = ReceivedBatch(
        diskIndex: index, codec: .raw, runs: [good], rawLength: 0, digest: .zero,
        payload: .init(start: nil, count: 0))
      #expect(refusal { try pass.append(batch) } == "unknownDisk")
    }
    #expect(refusal { try pass.append(.vmx, [1, 2, 3]) } == "damagedFile")
    #expect(pass.journal.endBytes == journalBytes)
    let sent = try second.send(to: pass)
    _ = try pass.commit(second.claims(sent))
    try pass.settle()
    try Checks([first, second]).holdsItsNewestPoint(standby, on: machine, "after hostile batches")
  }

  @Test("counts, roots or files that do not agree are no commit, and what came is dropped")
  func wrongClaims() throws {
    func claims(_ sent: Sender.Sent, root: Root? = nil, extra: Int64 = 0) -> CommitClaims {
      var disks = second.claims(sent).disks
      disks[1] = .init(
        root: root ?? disks[1].root, dataPages: disks[1].dataPages + extra, zeroPages: disks[1].zeroPages)
      return CommitClaims(disks: disks)
    }
    for (expected, change) in [
      ("rootMismatch", { claims($0, root: first.roots[1]) }), ("countMismatch", { claims($0, extra: 1) }),
      ("badOffer", { _ in CommitClaims(disks: []) }),
    ] as [(String, (Sender.Sent) -> CommitClaims)] {
      let pass = try standby.beginPass(second.offer(2))
      let sent = try second.send(to: pass)
      #expect(refusal { _ = try pass.commit(change(sent)) } == expected)
      #expect(refusal { _ = try pass.commit(second.claims(sent)) } == "passEnded")
      try pass.suspend()
      #expect(try standby.journalNames().isEmpty == (expected != "badOffer"))
      try Checks([first]).holdsItsNewestPoint(standby, on: machine, expected)
    }
    let pass = try standby.beginPass(second.offer(2))
    try pass.abandon()
    let empty = try standby.beginPass(second.offer(2))
    #expect(refusal { _ = try empty.commit(second.claims(.init())) } == "rootMismatch")
  }

  @Test("a commit for which undo file and growth would not fit is refused before the disks are touched")
  func space() throws {
    let pass = try standby.beginPass(second.offer(2))
    let sent = try second.send(to: pass)
    machine.limitSpace(of: "store", toBytes: 1 << 30)
    let used = try (1 << 30) - standby.freeBytesAboveFloor()
    // Six pages of undo and two of growth are needed.
    machine.limitSpace(of: "store", toBytes: used + (16 << 10))
    #expect(refusal { _ = try pass.commit(second.claims(sent)) } == "outOfSpace")
    try pass.suspend()
    #expect(try standby.journalNames().isEmpty, "the space is given back")
    machine.limitSpace(of: "store", toBytes: nil)
    try second.replicate(3, to: standby)
    try Checks([first, second, second]).holdsItsNewestPoint(standby, on: machine, "with space again")
  }
}
