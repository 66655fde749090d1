import ReplIO
import ReplModel
import ReplTestKit
import Testing

@testable import ReplStandby

/// After a sync that failed, also where there is no map to compare with.
@Suite("Reading back without a map") struct JournalReadBackTests {
  private struct RefusingFiles: StandbyFilesMaking {
    let isOn: Switch

    func files(for request: StandbyFilesRequest) throws(StandbyError) -> [StandbyFile] {
      if isOn.isSet { throw .filesRefused(detail: "on purpose") }
      return try PlainFiles().files(for: request)
    }
  }

  private let machine: SimulatedMachine
  private let first: Sender
  private let second: Sender

  init() throws {
    (machine, first) = (try Bench.machine(), try Sender(Bench.firstImage()))
    second = try Sender(Bench.secondImage())
    try first.replicate(1, to: try Bench.standby(in: Bench.store(on: machine)))
  }

  private func store(
    _ machine: SimulatedMachine, root: (any StorageDirectory)? = nil,
    files: any StandbyFilesMaking = PlainFiles()
  ) throws -> StandbyStore {
    try StandbyStore(
      root: root ?? machine.disk("store"), state: machine.disk("state"), receiver: Bench.receiver,
      time: ManualTime(), files: files, freeSpaceFloorBytes: 0)
  }

  /// A committed point whose undo file is sealed, and whose first disk is suspect.
  private func suspect() throws -> Standby {
    let isOn = Switch()
    let standby = try Bench.standby(in: store(machine, files: RefusingFiles(isOn: isOn)))
    let pass = try standby.beginPass(second.offer(2))
    _ = try pass.commit(second.claims(try second.send(to: pass)))
    isOn.set(true)
    #expect(throws: StandbyError.self) { try pass.settle() }
    standby.distrust(Bench.diskIDs[0])
    return standby
  }

  @Test("a suspect disk whose key is lost is read back by the journal before its point is named")
  func keyLost() throws {
    _ = try suspect()
    let after = machine.kill()
    let keys = try after.disk("state").openDirectory("keys")
    for name in try keys.entryNames() { try keys.removeFile(name) }
    let bad = BadRange(ByteRange(offset: 101 * 4096 + 512, length: 512))
    let failing = try Bench.standby(in: store(after, root: BadDirectory(after.disk("store"), bad)))
    guard case .failure(.storage) = failing.recovery else {
      Issue.record("\(failing.recovery)")
      return
    }
    #expect(failing.catalog.newest?.reference.number == 1, "the point is not named")
    let good = after.kill()
    let standby = try Bench.standby(in: store(good))
    #expect(try standby.recovery.get() == .settled(PointReference(epoch: Epoch(1), number: 2)))
    #expect(!standby.catalog.disks.contains { $0.isSuspect })
    for index in 0...1 { #expect(try isSame(Damage.bytes(standby, index), second.image.disks[index])) }
  }

  @Test("a page that is not what the journal brought last is found: data, zero, and the short last one")
  func comparison() throws {
    let standby = try suspect()
    let scan = try JournalScan(try #require(try standby.journalNames().first), in: standby.home.journals)
    let settling = Settling(
      standby: standby, journalName: scan.name, reader: try #require(scan.reader),
      commit: try #require(scan.commit), live: [:])
    let file = try standby.home.directory.openFile("scsi0-0-flat.vmdk", .readWrite)
    // Page 100 is not in the journal.
    let expected: [(page: Int, found: Int64?)] = [(1, 1), (7, 7), (50, 50), (256, 256), (100, nil)]
    #expect(try JournalReadBack(settling: settling, index: 0).run() == nil)
    for (page, found) in expected {
      let byte = AlignedBuffer(byteCount: 1)
      for isWrong in [true, false] {
        try file.read(into: byte.bytes, at: Int64(page * 4096 + 9))
        byte.bytes[0] ^= 0x40
        try file.write(byte.readable, at: Int64(page * 4096 + 9))
        let page = try JournalReadBack(settling: settling, index: 0).run()
        #expect(page == (isWrong ? found : nil))
      }
    }
  }
}
