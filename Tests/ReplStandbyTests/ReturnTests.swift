import ReplIO
import ReplModel
import ReplTestKit
import Synchronization
import Testing

@testable import ReplStandby

/// A fenced standby goes to an older point and back to the newest, cut off anywhere.
@Suite("Going to another point") struct ReturnTests {
  private static func bench() throws -> PointBench {
    var second = Image.tenPages().changing([2, 6], seed: 100)
    second.clear(0, 9)
    var third = second.changing([4, 8, 2], seed: 200)
    third.grow(0, to: 40960 + 3 * 4096 + 1024)
    third.fill(0, 11, 900)
    third.fill(0, 13, 901)
    third.nvram = [7]
    let bench = try PointBench([Image.tenPages(), second, third, third.changing([0, 7, 11], seed: 300)])
    try bench.replicate()
    return bench
  }

  private static func disks(_ machine: SimulatedMachine, _ standby: Standby) throws -> [[UInt8]] {
    let home = try machine.disk("store").openDirectory(standby.directoryName)
    return try ["scsi0-0-flat.vmdk", "scsi0-1-flat.vmdk"].map {
      try Bench.bytes(of: home.openFile($0, .read))
    }
  }

  private static func isAt(
    _ number: Int, _ bench: PointBench, _ machine: SimulatedMachine, _ standby: Standby
  ) throws -> Bool {
    let same = zip(try disks(machine, standby), bench.senders[number - 1].image.disks).allSatisfy(isSame)
    return try same && standby.disksPoint == PointBench.reference(number)
      && !machine.disk("store").openDirectory(standby.directoryName).contains("SETTLING.txt")
  }

  @Test("down to the oldest, up, down again and back to the newest: each time exactly that point")
  func upAndDown() throws {
    let bench = try Self.bench()
    let standby = try Bench.standby(in: bench.store())
    #expect(throws: StandbyError.self, "not fenced") { try standby.goTo(PointBench.reference(1)) }
    try standby.fence(reason: "test", point: PointBench.reference(1))
    for number in [1, 3, 2, 4, 1, 4] {
      try standby.goTo(PointBench.reference(number))
      #expect(try Self.isAt(number, bench, bench.machine, standby), "point \(number)")
      #expect(standby.catalog.points.count == 4, "no point is lost by going to another one")
    }
    #expect(throws: StandbyError.self) { try standby.goTo(PointBench.reference(9)) }
  }

  @Test(
    "cut off at any operation it is done again, to the same or to the newest point, and nothing is lost",
    arguments: [Survivors.none, .all, .random(seed: 9)])
  func cuts(survivors: Survivors) throws {
    let bench = try Self.bench()
    let moments = Mutex<[Moment]>([])
    do {
      let standby = try Bench.standby(in: bench.store())
      bench.machine.watch { moment in moments.withLock { $0.append(moment) } }
      try standby.fence(reason: "test", point: PointBench.reference(2))
      try standby.goTo(PointBench.reference(2))
      try standby.goTo(PointBench.reference(1))
      try standby.goTo(PointBench.reference(4))
      bench.machine.watch(nil)
    }
    let all = moments.withLock { $0 }
    #expect(all.count > 60)
    for (index, moment) in all.enumerated() {
      let machine = moment.restart(survivors)
      let target = [2, 4, 1][index % 3]
      let standby = try Bench.standby(in: bench.store(on: machine))
      try standby.fence(reason: "again", point: PointBench.reference(target))
      try standby.goTo(PointBench.reference(target))
      #expect(
        try Self.isAt(target, bench, machine, standby), "\(moment), survivors \(survivors), to \(target)")
      try standby.goTo(PointBench.reference(4))
      #expect(try Self.isAt(4, bench, machine, standby), "\(moment), survivors \(survivors), to the newest")
    }
  }

  @Test("a disk that the newest point lacks is what each older point says, wherever it was gone from")
  func detachedDisk() throws {
    var images = [Image.tenPages()]
    images[0].grow(1, to: 4 * 4096)
    for number in 1...2 {
      var image = images[number - 1].changing([number, 7], seed: UInt64(number * 100))
      image.fill(1, number, UInt64(number * 1000))
      images.append(image)
    }
    images[2].grow(1, to: 6 * 4096)
    images[2].fill(1, 5, 5000)
    images.append(images[2].changing([3], seed: 400))
    let bench = try PointBench(images)
    try bench.replicate(3)
    let standby = try Bench.standby(in: bench.store())
    let pass = try standby.beginPass(bench.senders[3].offer(4, disks: [0]))
    let runs = [PageRun(kind: .data, firstPage: 3, pageCount: 1)]
    try bench.senders[3].withBatch(0, runs, codec: .raw) { try pass.append($0) }
    let root = bench.senders[3].roots[0]
    _ = try pass.commit(CommitClaims(disks: [.init(root: root, dataPages: 1, zeroPages: 0)]))
    try pass.settle()
    #expect(standby.catalog.disk(Bench.diskIDs[1])?.state == .detached)
    try standby.fence(reason: "test")
    // What is left of the detached disk is what the last point with it had.
    for number in [1, 2, 1, 3, 1, 4, 2, 3] {
      try standby.goTo(PointBench.reference(number))
      #expect(try Self.isAt(number, bench, bench.machine, standby), "point \(number)")
    }
  }

  @Test("a damaged undo file is found before a disk is written")
  func damagedUndo() throws {
    let bench = try Self.bench()
    let standby = try Bench.standby(in: bench.store())
    let file = try standby.home.points.openFile("1.2.undo", .readWrite)
    let bytes = try Bench.bytes(of: file)
    for offset in stride(from: 0, to: bytes.count - 512, by: 512) where bytes[offset] != 0 {
      [bytes[offset] ^ 1].withUnsafeBytes { try? file.write($0, at: Int64(offset)) }
    }
    try standby.fence(reason: "test")
    #expect(throws: StandbyError.self) { try standby.goTo(PointBench.reference(1)) }
    #expect(zip(try Self.disks(bench.machine, standby), bench.senders[3].image.disks).allSatisfy(isSame))
    try standby.goTo(PointBench.reference(3))
    #expect(try Self.isAt(3, bench, bench.machine, standby))
  }

  @Test("the map of an older point is what its source had, and says when an undo file is damaged")
  func pointMaps() throws {
    let bench = try Self.bench()
    let standby = try Bench.standby(in: bench.store())
    for number in 1...4 {
      let kept = try #require(standby.catalog.kept(PointBench.reference(number)))
      for (index, member) in kept.point.disks.enumerated() {
        let map = try PointMap(standby: standby, kept: kept, member: member).make()
        #expect(try map.root() == bench.senders[number - 1].roots[index])
      }
    }
  }
}
