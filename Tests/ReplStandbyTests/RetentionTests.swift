import ReplDigest
import ReplIO
import ReplModel
import ReplTestKit
import Testing

@testable import ReplStandby

/// Which points stay, and that those that stay can be had exactly.
@Suite("Retention") struct RetentionTests {
  private static let minute: Double = 60

  /// Points committed at these minutes, newest last.
  private static func points(_ minutes: [Int], labels: [Int: PointLabel] = [:]) -> [RecoveryPoint] {
    minutes.enumerated().map { index, minute in
      RecoveryPoint(
        receiver: Bench.receiver, vm: Bench.vm, reference: PointBench.reference(index + 1),
        pass: Bench.pass(index + 1), frozenAt: WallTime(millisecondsSince1970: 0),
        committedAt: WallTime(millisecondsSince1970: Int64(minute) * 60_000),
        label: labels[index] ?? .crashConsistent, disks: [])
    }
  }

  private static func kept(
    _ minutes: [Int], _ policy: RetentionPolicy, now: Int? = nil, needed: Set<PointReference> = [],
    undoBytes: Int64 = 0, labels: [Int: PointLabel] = [:]
  ) -> [Int] {
    let points = points(minutes, labels: labels)
    let plan = RetentionPlan(
      policy: policy, points: points, needed: needed,
      undoBytes: Dictionary(uniqueKeysWithValues: points.map { ($0.reference, undoBytes) }),
      now: WallTime(millisecondsSince1970: Int64(now ?? minutes.last!) * 60_000))
    let drops = plan.drops()
    return zip(points, minutes).filter { drops[$0.0.reference] == nil }.map(\.1)
  }

  private static func policy(
    last: Int = 1, hourly: Int = 0, daily: Int = 0, weekly: Int = 0, floorMinutes: Double = 0,
    budget: Int64? = nil
  ) -> RetentionPolicy {
    RetentionPolicy(
      last: last, hourly: hourly, daily: daily, weekly: weekly, floorSeconds: floorMinutes * 60,
      budgetBytes: budget)
  }

  @Test("the newest points stay by number, and a ladder keeps the first point of each hour, day and week")
  func ladder() {
    let everyTenMinutes = Array(stride(from: 0, through: 600, by: 10))
    #expect(Self.kept(everyTenMinutes, Self.policy(last: 3)) == [580, 590, 600])
    #expect(Self.kept(everyTenMinutes, Self.policy(hourly: 4)) == [420, 480, 540, 600])
    let hourly = Array(stride(from: 0, through: 60 * 24 * 40, by: 60))
    let day = 60 * 24
    #expect(Self.kept(hourly, Self.policy(daily: 3)) == [38 * day, 39 * day, 40 * day])
    // 1970-01-01 was a Thursday: weeks begin 4 days later.
    #expect(
      Self.kept(hourly, Self.policy(weekly: 3)) == [25 * day, 32 * day, 39 * day, 40 * day])
  }

  @Test("what a ladder has chosen stays chosen when it is asked again after every pass")
  func stable() {
    let policy = Self.policy(last: 2, hourly: 3, daily: 2)
    var kept: [Int] = []
    for minute in stride(from: 0, through: 60 * 60, by: 10) { kept = Self.kept(kept + [minute], policy) }
    #expect(kept == Self.kept(Array(stride(from: 0, through: 3600, by: 10)), policy))
  }

  @Test("no number of passes shortens the time that the floor covers, and no budget either")
  func floor() {
    let flood = [0, 30, 60, 90] + Array(100...140)
    #expect(
      Self.kept(flood, Self.policy(floorMinutes: 60, budget: 1), undoBytes: 1000)
        == [90] + Array(100...140))
    #expect(Self.kept(flood, Self.policy(last: 2, floorMinutes: 115)).first == 30)
  }

  @Test("the budget drops the oldest unpinned point first, never the newest")
  func budget() {
    let policy = Self.policy(last: 6, budget: 250)
    #expect(Self.kept([0, 1, 2, 3, 4, 5], policy, undoBytes: 100) == [4, 5])
    #expect(
      Self.kept([0, 1, 2, 3, 4, 5], policy, needed: [PointBench.reference(4)], undoBytes: 100) == [3, 4, 5])
    #expect(Self.kept([7], policy, undoBytes: 10_000) == [7])
  }

  @Test(
    "behind an oldest point that must stay the budget drops nothing: it would end points and free nothing")
  func pinnedAtTheOldEnd() {
    let minutes = [0, 1, 2, 3, 4, 5]
    let pinned: Set = [PointBench.reference(1)]
    #expect(Self.kept(minutes, Self.policy(last: 6, budget: 250), needed: pinned, undoBytes: 100) == minutes)
  }

  @Test("the newest point that is not fuzzy stays, however many fuzzy ones follow")
  func fuzzy() {
    let labels = Dictionary(uniqueKeysWithValues: (1..<6).map { ($0, PointLabel.fuzzy) })
    #expect(Self.kept([0, 1, 2, 3, 4, 5], Self.policy(last: 2), labels: labels) == [0, 4, 5])
  }

  @Test("past the number that a standby can have the history gets coarser, not shorter")
  func crowded() {
    let minutes = Array(0..<(Limits.points + 50))
    let kept = Self.kept(minutes, Self.policy(last: 10_000))
    #expect(kept.count == Limits.points)
    #expect(kept.first == 0 && kept.last == minutes.last)
  }

  @Test("a clock that was set back keeps every point")
  func clockSetBack() {
    #expect(Self.kept([1000, 1010, 1020], Self.policy(floorMinutes: 1), now: 500) == [1000, 1010, 1020])
  }

  // MARK: - On the disk

  private static func images(_ count: Int) -> [Image] {
    var random = SeededRandom(seed: 77)
    var images = [Bench.firstImage()]
    for number in 1..<count {
      var image = images[number - 1]
      for _ in 0..<6 {
        let page = Int(random.next() % 257)
        if random.chance(1, of: 3) { image.clear(0, page) } else { image.fill(0, page, random.next()) }
      }
      image.fill(1, Int(random.next() % 24), random.next())
      if number == 4 { image.grow(0, to: (2 << 20) + 700) }
      if number > 4 { image.fill(0, 257 + Int(random.next() % 250), random.next()) }
      if number % 3 == 0 { image.nvram = [UInt8(number)] }
      images.append(image)
    }
    return images
  }

  @Test("points dropped in the middle leave every kept point exactly as it was, also across a disk that grew")
  func merges() throws {
    let bench = try PointBench(
      Self.images(12), policy: RetentionPolicy(last: 2, hourly: 0, daily: 3, weekly: 0, floorSeconds: 0))
    try bench.replicate(secondsBetween: 6 * 3600)
    let catalog = try #require(try bench.store().standbys().first?.catalog)
    #expect(catalog.points.count >= 4 && catalog.points.count < 8, "\(catalog.points.map(\.reference))")
    #expect(try bench.differing().isEmpty)
    let names = try bench.machine.disk("store").openDirectory(catalog.directoryName)
      .openDirectory(".repl").openDirectory("points").entryNames().filter { $0.hasSuffix(".undo") }
    #expect(names.count == catalog.points.count - 1, "\(names)")
  }

  @Test("every point of a long history can be put together, with its own files")
  func everyPoint() throws {
    let bench = try PointBench(Self.images(8))
    try bench.replicate()
    #expect(try bench.store().standbys().first?.catalog?.points.count == 8)
    #expect(try bench.differing().isEmpty)
    let nvram = try bench.machine.disk("store").openDirectory("mounted-5").openFile("web-01.nvram", .read)
    #expect(try Bench.bytes(of: nvram) == bench.senders[4].image.nvram)
  }

  @Test("a pinned point outlives the policy until it is unpinned, and cannot be pinned once it is gone")
  func pins() throws {
    let bench = try PointBench(
      Self.images(6), policy: RetentionPolicy(last: 1, hourly: 0, daily: 0, weekly: 0, floorSeconds: 0))
    try bench.replicate(1)
    let store = try bench.store()
    let summary = try #require(try store.standbys().first)
    try store.pin(PointBench.reference(1), reason: "before the upgrade", of: summary)
    for number in 2...6 {
      let standby = try Bench.standby(in: store)
      try bench.senders[number - 1].replicate(number, to: standby)
      _ = try standby.applyRetention()
    }
    let listed = try store.points(of: try #require(try store.standbys().first))
    #expect(listed.map(\.point.reference) == [6, 1].map(PointBench.reference))
    #expect(listed.map(\.pin) == [nil, "before the upgrade"])
    #expect(try bench.differing().isEmpty)
    #expect(throws: StandbyError.self) {
      try store.pin(PointBench.reference(3), reason: "", of: summary)
    }
    try store.unpin(PointBench.reference(1), of: summary)
    _ = try Bench.standby(in: store).applyRetention()
    #expect(try store.standbys().first?.catalog?.points.map(\.reference) == [PointBench.reference(6)])
  }

  @Test("a store that is too full gives up the oldest points for what comes, as few as will do")
  func makesRoom() throws {
    let bench = try PointBench(Self.images(6))
    try bench.replicate(5)
    let limit: Int64 = 1 << 40
    bench.machine.limitSpace(of: "store", toBytes: limit)
    let used = limit - (try bench.machine.disk("store").freeBytes())
    bench.machine.limitSpace(of: "store", toBytes: used + (64 << 10))
    let standby = try Bench.standby(in: bench.store())
    let sizes = try (1...4).map { number in
      try standby.home.points.openFile("1.\(number).undo", .read).currentSizeBytes()
    }
    try standby.makeRoom(64 << 10)
    #expect(standby.takeDropped().isEmpty)
    try standby.makeRoom((64 << 10) + 1)
    #expect(standby.takeDropped().map(\.point) == [PointBench.reference(1)])
    let all = try standby.freeBytesAboveFloor() + sizes.dropFirst().reduce(0, +)
    try standby.makeRoom(all + 1)
    #expect(standby.takeDropped().isEmpty, "all of them together are not enough: none goes")
    #expect(standby.catalog.points.count == 4)
    try standby.makeRoom(all)
    let dropped = standby.takeDropped()
    // The catalog gets smaller, too.
    let expected = [2, 3, 4].map(PointBench.reference).prefix(max(1, dropped.count))
    #expect(dropped.map(\.point) == Array(expected) && dropped.allSatisfy { $0.reason == .space })
    #expect(standby.catalog.newest?.reference == PointBench.reference(5), "never the newest")
    bench.machine.limitSpace(of: "store", toBytes: nil)
    #expect(try bench.differing().isEmpty)
  }

  @Test("making room for a commit takes no file that it needs: one that only the dropped point had is there")
  func filesOfThePass() throws {
    // The VMX is in turn one, another and the first again, so that it does not travel a second time.
    var images = Self.images(3)
    images[1].vmx += Array("memSize = \"4096\"\n".utf8)
    images[2].vmx = images[0].vmx
    let bench = try PointBench(images)
    try bench.replicate(2)
    let standby = try Bench.standby(in: bench.store())
    let pass = try standby.beginPass(bench.senders[2].offer(3))
    #expect(!pass.filesWanted.contains(.vmx))
    let sent = try bench.senders[2].send(to: pass)
    let needed = pass.targets.compactMap { $0 as? JournalledDisk }.reduce(0) {
      $0 + standby.settlingBytes(of: $1)
    }
    let limit: Int64 = 1 << 40
    bench.machine.limitSpace(of: "store", toBytes: limit)
    let used = limit - (try bench.machine.disk("store").freeBytes())
    bench.machine.limitSpace(of: "store", toBytes: used + needed - 1)
    _ = try pass.commit(bench.senders[2].claims(sent))
    #expect(standby.takeDropped().map(\.point) == [PointBench.reference(1)])
    bench.machine.limitSpace(of: "store", toBytes: nil)
    try pass.settle()
    let vmx = try standby.home.directory.openFile("web-01.vmx", .read)
    #expect(try Bench.bytes(of: vmx) == Array("# replicated\n".utf8) + images[0].vmx)
    #expect(try bench.differing().isEmpty)
  }
}
