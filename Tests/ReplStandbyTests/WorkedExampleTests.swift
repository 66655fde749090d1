import ReplDigest
import ReplIO
import ReplModel
import ReplTestKit
import Testing

@testable import ReplStandby

/// The idea in one example: a disk of ten blocks; pass 1 changes {2,6}, pass 2 {4,8}, pass 3 {0,7,8}.
@Suite("A disk of ten blocks") struct WorkedExampleTests {
  private let bench: PointBench

  init() throws {
    let first = Image.tenPages()
    let second = first.changing([2, 6], seed: 100)
    let third = second.changing([4, 8], seed: 200)
    bench = try PointBench([first, second, third, third.changing([0, 7, 8], seed: 300)])
  }

  private func pages(_ sent: Sender.Sent) -> Int64 { sent.data[0] + sent.zero[0] }

  @Test("17 blocks travel where four full copies would be 40, and each of the four states can be started")
  func seventeenBlocks() throws {
    var travelled: [Int64] = []
    for (index, sender) in bench.senders.enumerated() {
      let standby = try Bench.standby(in: bench.store())
      travelled.append(pages(try sender.replicate(index + 1, to: standby)))
      _ = try standby.applyRetention()
    }
    #expect(travelled == [10, 2, 2, 3])
    #expect(travelled.reduce(0, +) == 17)
    for number in 1...4 {
      let machine = bench.machine.kill()
      let standby = try Bench.standby(in: bench.store(on: machine))
      try standby.fence(reason: "test")
      try standby.goTo(PointBench.reference(number))
      try standby.placeFiles(startable: true)
      let home = try machine.disk("store").openDirectory(standby.directoryName)
      let bytes = try Bench.bytes(of: home.openFile("scsi0-0-flat.vmdk", .read))
      #expect(isSame(bytes, bench.senders[number - 1].image.disks[0]), "state \(number)")
      #expect(standby.catalog.fence?.point == PointBench.reference(number))
      let vmx = try Bench.bytes(of: home.openFile("web-01.vmx", .read))
      #expect(String(decoding: vmx, as: UTF8.self).hasPrefix("# may be started"))
      #expect(try !home.contains("SETTLING.txt"))
    }
  }

  @Test(
    "when pass 2 is lost, pass 3 is refused as built on the wrong base, and the next one brings block 4 too")
  func lostPass() throws {
    try bench.replicate(2)
    let standby = try Bench.standby(in: bench.store())
    let (lost, third) = (bench.senders[2], bench.senders[3])
    // What a source would send that believes that its pass 2 arrived.
    let wrong = try standby.beginPass(third.offer(3))
    for file in wrong.filesWanted {
      try wrong.append(file, file == .vmx ? third.image.vmx : third.image.nvram)
    }
    var sent = Sender.Sent()
    for page in [0, 7, 8] as [Int64] {
      let runs = [PageRun(kind: .data, firstPage: page, pageCount: 1)]
      try third.withBatch(0, runs, codec: .zstd) { try wrong.append($0) }
      sent.data[0] += 1
    }
    let error = #expect(throws: StandbyError.self) { _ = try wrong.commit(third.claims(sent)) }
    guard case .rootMismatch? = error else { throw error ?? .storeMissing(path: "?") }
    try wrong.suspend()
    #expect(standby.catalog.newest?.reference == PointBench.reference(2))
    #expect(lost.image.disks[0] != third.image.disks[0])
    #expect(pages(try third.replicate(4, to: standby)) == 4, "blocks 0, 4, 7 and 8")
    let home = try bench.machine.disk("store").openDirectory(standby.directoryName)
    #expect(isSame(try Bench.bytes(of: home.openFile("scsi0-0-flat.vmdk", .read)), third.image.disks[0]))
  }
}
