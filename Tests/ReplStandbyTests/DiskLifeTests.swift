import ReplDigest
import ReplIO
import ReplModel
import ReplTestKit
import Synchronization
import Testing

@testable import ReplStandby

/// Disks that change their slot, leave the VM, come back and are removed.
@Suite("Life of a disk") struct DiskLifeTests {
  private let first: Sender
  private let second: Sender

  init() throws {
    first = try Sender(Bench.firstImage())
    second = try Sender(Bench.secondImage())
  }

  /// A pass with some of the disks.
  private func replicate(
    _ number: Int, _ sender: Sender, to standby: Standby, disks: [Int], slots: [Int] = [0, 1]
  ) throws {
    let pass = try standby.beginPass(sender.offer(number, disks: disks, slots: slots))
    for file in pass.filesWanted {
      try pass.append(file, file == .vmx ? sender.image.vmx : sender.image.nvram)
    }
    var claims: [CommitClaims.Disk] = []
    for (place, disk) in disks.enumerated() {
      var (data, zero): (Int64, Int64) = (0, 0)
      for runs in try sender.batches(for: disk, pass.digestView(disk: place), pagesPerBatch: 100) {
        try sender.withBatch(disk, runs, codec: .raw) { batch in
          try pass.append(
            ReceivedBatch(
              diskIndex: place, codec: batch.codec, runs: batch.runs, rawLength: batch.rawLength,
              digest: batch.digest, payload: batch.payload))
        }
        (data, zero) = (data + runs.dataPageCount, zero + runs.zeroPageCount)
      }
      claims.append(.init(root: sender.roots[disk], dataPages: data, zeroPages: zero))
    }
    _ = try pass.commit(CommitClaims(disks: claims))
    try pass.settle()
    _ = try standby.applyRetention()
  }

  private func refusal(_ body: () throws -> Void) -> String {
    do {
      try body()
      return ""
    } catch { return "\(error)" }
  }

  // MARK: - Slots

  @Test("two disks that swap their slots keep their files and their history, and nothing is sent again")
  func swap() throws {
    let machine = try Bench.machine()
    let standby = try Bench.standby(in: Bench.store(on: machine))
    try first.replicate(1, to: standby)
    let pass = try standby.beginPass(first.offer(2, slots: [1, 0]))
    let sent = try first.send(to: pass)
    #expect(sent == Sender.Sent())
    let point = try pass.commit(first.claims(sent))
    try pass.settle()
    #expect(point.disks.map { "\($0.slot)" } == ["scsi0:1", "scsi0:0"])
    #expect(standby.catalog.disks.map { "\($0.slot)" } == ["scsi0:1", "scsi0:0"])
    #expect(standby.catalog.disks.map(\.fileStem) == ["scsi0-0", "scsi0-1"])
    #expect(standby.catalog.points[0].disks.map { "\($0.slot)" } == ["scsi0:0", "scsi0:1"])
    try Checks([first, first]).holdsItsNewestPoint(standby, on: machine, "swapped")
  }

  @Test("the files beside the disks are made from the slots that the newest point has")
  func slotsInFiles() throws {
    let machine = try Bench.machine()
    let asked = SlotRecorder()
    let store = try StandbyStore(
      root: machine.disk("store"), state: machine.disk("state"), receiver: Bench.receiver,
      time: ManualTime(), files: asked, freeSpaceFloorBytes: 0)
    let standby = try Bench.standby(in: store)
    try first.replicate(1, to: standby)
    try replicate(2, first, to: standby, disks: [0, 1], slots: [5, 0])
    #expect(asked.newest == ["scsi0:5 scsi0-0.vmdk", "scsi0:0 scsi0-1.vmdk"])
  }

  @Test("a new disk in the slot of a detached one gets a file of its own, and the detached one's stays")
  func newDiskInOldSlot() throws {
    let machine = try Bench.machine()
    let standby = try Bench.standby(in: Bench.store(on: machine))
    try replicate(1, first, to: standby, disks: [0])
    try replicate(2, first, to: standby, disks: [1], slots: [0, 0])
    let entries = standby.catalog.disks
    #expect(entries.map(\.state) == [.detached, .ready])
    #expect(entries.map { "\($0.slot)" } == ["scsi0:0", "scsi0:0"])
    #expect(entries[0].fileStem == "scsi0-0" && entries[1].fileStem.hasPrefix("scsi0-0-"))
    for (entry, image) in zip(entries, first.image.disks) {
      let bytes = try Bench.bytes(of: standby.home.directory.openFile(entry.flatFileName, .read))
      #expect(isSame(bytes, image))
    }
  }

  // MARK: - Leaving

  /// Disk 1 is detached, and no point holds it.
  private func detached(on machine: SimulatedMachine) throws -> Standby {
    let standby = try Bench.standby(in: Bench.store(on: machine))
    try first.replicate(1, to: standby)
    for number in 2...3 { try replicate(number, number == 2 ? first : second, to: standby, disks: [0]) }
    #expect(standby.catalog.disks.map(\.state) == [.ready, .detached])
    return standby
  }

  @Test("a disk can be removed when no point holds it; before that it is refused, and the text says why")
  func removal() throws {
    let machine = try Bench.machine()
    let store = try Bench.store(on: machine)
    let standby = try Bench.standby(in: store)
    let id = Bench.diskIDs[1]
    func report() throws -> DiskReport {
      let summary = try #require(try store.standbys().first)
      return try #require(try store.disks(of: summary).first { $0.disk.disk == id })
    }
    try first.replicate(1, to: standby)
    #expect(refusal { try standby.removeDisk(id) }.contains("belongs to the newest recovery point"))
    #expect(try report().refusal?.contains("exclude_disks") == true)
    try replicate(2, first, to: standby, disks: [0])
    #expect(refusal { try standby.removeDisk(id) }.contains("recovery point 1.1 holds it"))
    #expect(try report().points == [PointReference(epoch: Epoch(1), number: 1)])
    try replicate(3, second, to: standby, disks: [0])
    let before = try report()
    #expect(before.refusal == nil && before.points.isEmpty && before.disk.state == .detached)
    #expect(before.files.map(\.name) == ["scsi0-1.vmdk", "scsi0-1-flat.vmdk"])
    #expect(before.files[1].sizeBytes == Bench.grids[1].sizeBytes)
    try standby.removeDisk(id)
    #expect(standby.catalog.disks.map(\.disk) == [Bench.diskIDs[0]])
    let names = try standby.home.directory.entryNames()
    #expect(!names.contains { $0.hasPrefix("scsi0-1") })
    #expect(try !standby.maps.entryNames().contains { $0.hasPrefix("\(id)") })
    #expect(refusal { try standby.removeDisk(id) }.contains("no such disk"))
    // It comes back as a new one.
    try second.replicate(4, to: standby)
    try Checks([first, first, second, second]).holdsItsNewestPoint(standby, on: machine, "back again")
  }

  @Test("a disk that comes back ends the older point that holds it, before its first byte is overwritten")
  func comesBack() throws {
    for isSeed in [true, false] {
      let machine = try Bench.machine()
      let standby = try Bench.standby(in: Bench.store(on: machine))
      try first.replicate(1, to: standby)
      try replicate(2, first, to: standby, disks: [0])
      #expect(standby.catalog.points.count == 2)
      if isSeed {
        _ = try standby.beginSeed(second.offer(3, disks: [1]))
      } else {
        _ = try standby.beginPass(second.offer(3))
      }
      let after = try Bench.standby(in: Bench.store(on: machine.restart(.none)))
      #expect(after.catalog.points.map(\.pass) == [Bench.pass(2)], "seed: \(isSeed)")
      #expect(after.catalog.disk(Bench.diskIDs[1])?.state == .seeding)
    }
  }

  @Test("a promoted standby keeps its disks")
  func removalRefusedWhenPromoted() throws {
    let machine = try Bench.machine()
    let standby = try detached(on: machine)
    try standby.fence(reason: "failover")
    #expect(refusal { try standby.removeDisk(Bench.diskIDs[1]) }.contains("promoted"))
    #expect(try standby.home.directory.contains("scsi0-1-flat.vmdk"))
  }

  @Test("a first copy that is under way can be removed, and begins anew when it is offered again")
  func removalOfSeeding() throws {
    let machine = try Bench.machine()
    let standby = try Bench.standby(in: Bench.store(on: machine))
    try replicate(1, first, to: standby, disks: [0])
    let pass = try standby.beginPass(first.offer(2))
    try first.send(to: pass, limit: 1)
    try pass.suspend()
    #expect(standby.catalog.disk(Bench.diskIDs[1])?.state == .seeding)
    try standby.removeDisk(Bench.diskIDs[1])
    #expect(try !standby.home.directory.contains("scsi0-1-flat.vmdk"))
    try second.replicate(3, to: standby)
    try Checks([first, first, second]).holdsItsNewestPoint(standby, on: machine, "seeded anew")
  }

  @Test(
    "a removal cut off anywhere leaves the points whole and can be done again; no lost disk is ready"
  )
  func removalSweep() throws {
    let start = try Bench.machine()
    _ = try detached(on: start)
    let machine = start.kill()
    let moments = Mutex<[Moment]>([])
    let standby = try Bench.standby(in: Bench.store(on: machine))
    machine.watch { moment in moments.withLock { $0.append(moment) } }
    try standby.removeDisk(Bench.diskIDs[1])
    machine.watch(nil)
    let found = moments.withLock { $0 }
    #expect(found.count > 8)
    for moment in found {
      try check(moment.kill(), "killed before \(moment)")
      for survivors in [Survivors.none, .all, .random(seed: UInt64(moment.number))] {
        try check(moment.restart(survivors), "\(moment), survivors \(survivors)")
      }
    }
    try check(machine.restart(.none), "at the end", isRemoved: true)
  }

  @Test(
    "an operation that fails during a removal is told, and the removal goes through when it is tried again")
  func removalFaults() throws {
    let start = try Bench.machine()
    _ = try detached(on: start)
    var failed = 0
    for operation in 1...100 {
      let machine = start.kill()
      let standby = try Bench.standby(in: Bench.store(on: machine))
      machine.plan(FaultPlan(.ioErrorOnce, atOperation: machine.operationCount + operation))
      let text = refusal { try standby.removeDisk(Bench.diskIDs[1]) }
      if text.isEmpty { break }
      failed += 1
      let entry = try #require(standby.catalog.disk(Bench.diskIDs[1]))
      #expect(entry.state == .detached)
      try check(machine.restart(.none), "\(text), power cut")
      try standby.removeDisk(Bench.diskIDs[1])
      try check(machine.restart(.none), "\(text), done again", isRemoved: true)
    }
    #expect(failed > 8)
  }

  private func check(_ machine: SimulatedMachine, _ context: String, isRemoved: Bool = false) throws {
    let store = try Bench.store(on: machine)
    let standby = try Bench.standby(in: store)
    #expect(try standby.recovery.get() == .nothing, "\(context)")
    #expect(standby.catalog.newest?.pass == Bench.pass(3), "\(context)")
    for entry in standby.catalog.disks where entry.state == .ready {
      #expect(try standby.home.directory.contains(entry.flatFileName), "\(context)")
    }
    #expect(try standby.verifyDisk(Bench.diskIDs[0]).isClean, "\(context)")
    if let entry = standby.catalog.disk(Bench.diskIDs[1]) {
      #expect(entry.state == .detached && !isRemoved, "\(context)")
      try standby.removeDisk(entry.disk)
    }
    let names = try standby.home.directory.entryNames()
    #expect(!names.contains { $0.hasPrefix("scsi0-1") }, "\(context): \(names)")
    try second.replicate(4, to: standby)
    try Checks([first, first, second, second]).holdsItsNewestPoint(standby, on: machine, context)
  }
}

/// Remembers for which slots the newest files were made.
private final class SlotRecorder: StandbyFilesMaking {
  private let found = Mutex<[String]>([])

  var newest: [String] { found.withLock { $0 } }

  func files(for request: StandbyFilesRequest) throws(StandbyError) -> [StandbyFile] {
    found.withLock { $0 = request.disks.map { "\($0.slot) \($0.descriptorFileName)" } }
    return try PlainFiles().files(for: request)
  }
}
