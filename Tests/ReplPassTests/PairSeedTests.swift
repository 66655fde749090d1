import ReplIO
import ReplModel
import ReplProtocol
import ReplSource
import ReplStandby
import ReplTestKit
import Synchronization
import Testing

@testable import ReplPass

/// A disk is added to a VM that has recovery points: both sides over real TLS.
@Suite(.serialized) struct PairSeedTests {
  private let one = Pair.disks[0]
  private let two = Pair.disks[1]
  /// All pages of the added disk once, and less than a leaf more than once.
  private static let onceBytes = Int64(AddedDisk.sizes[1] + AddedDisk.leafBytes * 3 / 4)

  /// A pair whose VM has a point of its first disk.
  private func pair(_ vm: AddedDisk) throws -> Pair {
    let pair = try Pair()
    _ = try pair.pass(vm.first)
    return pair
  }

  /// A pass of both disks that must leave the second one out, and not read it.
  private func passOfTheFirst(_ pair: Pair, _ vm: AddedDisk, _ context: String) throws {
    let report = try pair.pass(vm.disks)
    #expect(report.point.disks.map(\.disk) == [one], "\(context)")
    #expect(report.deferred == [two], "\(context)")
    #expect(report.pass.readBytes <= Int64(AddedDisk.sizes[0]), "\(context): it waited for the added disk")
    #expect(report.pass.changedBytes <= 5 * 4096, "\(context)")
    #expect(try pair.bytes(of: one) == vm.disks[0], "\(context)")
    #expect(try pair.catalog?.disk(two)?.state != .ready, "\(context)")
  }

  private func joiningPass(_ pair: Pair, _ vm: AddedDisk, _ context: String) throws -> SourcePass.Report {
    let report = try pair.pass(vm.disks)
    #expect(report.point.disks.map(\.disk) == [one, two], "\(context)")
    #expect(report.deferred.isEmpty, "\(context)")
    for index in 0..<2 {
      let isRight = try pair.bytes(of: Pair.disks[index]) == vm.disks[index]
      #expect(isRight, "\(context): disk \(index) is not byte for byte the source's")
    }
    return report
  }

  @Test("an added disk seeds over several sessions while the other disk's points go on, and then joins")
  func acrossPasses() throws {
    var vm = AddedDisk()
    let pair = try pair(vm)
    defer { pair.end() }
    var positions: [Int64] = []
    var sessions = 0
    var isComplete = false
    while !isComplete, sessions < 12 {
      vm.change(UInt64(sessions + 1))
      try passOfTheFirst(pair, vm, "before session \(sessions)")
      // The first two end in the middle, the third comes to the end and goes round once more.
      let result = try pair.seed(vm.disks, endingAt: sessions < 2 ? Int64(sessions * 2 + 3) << 20 : .max)
      positions.append(result.disks[0].doneBytes)
      isComplete = result.isRoundComplete
      sessions += 1
    }
    #expect(isComplete, "positions \(positions)")
    #expect(sessions > 2, "one session must not be enough here: \(positions)")
    #expect(positions == positions.sorted() && positions.last == Int64(AddedDisk.sizes[1]), "\(positions)")
    vm.change(90)
    let report = try joiningPass(pair, vm, "the joining pass")
    #expect(report.pass.changedBytes < 1 << 20, "the head start was not used: \(report.pass.changedBytes)")
    vm.change(91)
    let next = try joiningPass(pair, vm, "the pass after")
    #expect(next.point.reference.number == report.point.reference.number + 1)
  }

  @Test("a disk that one session reads from end to end joins the next pass, which sends what changed since")
  func oneSession() throws {
    var vm = AddedDisk()
    let pair = try pair(vm)
    defer { pair.end() }
    try passOfTheFirst(pair, vm, "before")
    let result = try pair.seed(vm.disks)
    #expect(result.isRoundComplete && result.disks[0].doneBytes == Int64(AddedDisk.sizes[1]))
    #expect(result.bytesSent > Int64(AddedDisk.sizes[1]))
    #expect(try pair.bytes(of: two) == vm.disks[1])
    #expect(try pair.seed(vm.disks).bytesSent == 0, "a complete disk needs no session")
    vm.fill(1, 7, 77)
    let report = try joiningPass(pair, vm, "joining")
    #expect(report.pass.changedBytes == 4096)
  }

  @Test("a disk that no session can read from end to end is complete after two rounds")
  func twoRounds() throws {
    var vm = AddedDisk()
    let pair = try pair(vm)
    defer { pair.end() }
    var results: [SeedSession.Result] = []
    for round in 0..<2 {
      for step in 0..<2 {
        vm.change(UInt64(results.count + 20))
        try passOfTheFirst(pair, vm, "round \(round), step \(step)")
        results.append(
          try pair.seed(vm.disks, endingAt: step == 0 ? 4 << 20 : .max, endsAtStart: step == 1))
      }
    }
    #expect(results.map(\.isRoundComplete) == [false, false, false, true])
    #expect(results[0].disks[0].doneBytes < results[1].disks[0].doneBytes)
    vm.change(40)
    let report = try joiningPass(pair, vm, "joining")
    #expect(report.pass.changedBytes < 2 << 20)
  }

  @Test("a session goes on where the one before ended, and sends nothing twice")
  func goesOn() throws {
    let vm = AddedDisk()
    let pair = try pair(vm)
    defer { pair.end() }
    _ = try pair.pass(vm.disks)
    let first = try pair.seed(vm.disks, endingAt: 3 << 20)
    #expect(!first.isRoundComplete)
    #expect((3 << 20...5 << 20).contains(first.disks[0].doneBytes), "\(first.disks[0].doneBytes)")
    let reads = Mutex(Set<Int64>())
    let view = pair.view([
      MemoryDisk(vm.disks[0]), MemoryDisk(vm.disks[1]) { offset in _ = reads.withLock { $0.insert(offset) } },
    ])
    let second = SeedSession(
      view: view, disks: [two], settings: pair.settings(),
      state: try SourceState(root: pair.sender.disk("state")), lastEpoch: pair.epoch, deadlineSeconds: 30,
      stop: StopSignal(), time: SystemTime(), progress: { _ in })
    let result = try second.run()
    #expect(result.isRoundComplete)
    // The rest, and then one round from the front, which finds nothing to send.
    #expect(reads.withLock { $0.contains(0) })
    #expect(first.bytesSent + result.bytesSent < Self.onceBytes, "\(first.bytesSent) + \(result.bytesSent)")
    _ = try joiningPass(pair, vm, "joining")
  }

  @Test("a sender that lost all its state asks the receiver what is new, and goes on with the head start")
  func senderStateLost() throws {
    var vm = AddedDisk()
    let pair = try pair(vm)
    defer { pair.end() }
    _ = try pair.pass(vm.disks)
    let before = try pair.seed(vm.disks, endingAt: 4 << 20)
    #expect(!before.isRoundComplete)
    pair.replaceSender()
    vm.change(3)
    try passOfTheFirst(pair, vm, "with nothing known")
    let after = try pair.seed(vm.disks)
    #expect(after.isRoundComplete)
    #expect(before.bytesSent + after.bytesSent < Self.onceBytes, "\(before.bytesSent) + \(after.bytesSent)")
    _ = try joiningPass(pair, vm, "joining")
    pair.replaceSender()
    vm.change(4)
    _ = try joiningPass(pair, vm, "lost again after joining")
  }

  @Test("a receiver that lost a complete copy gets it in sessions again, not inside a pass")
  func receiverLostTheCopy() throws {
    let vm = AddedDisk()
    let pair = try pair(vm)
    defer { pair.end() }
    _ = try pair.pass(vm.disks)
    #expect(try pair.seed(vm.disks).isRoundComplete)
    let catalog = try #require(try pair.catalog)
    let home = try pair.receiver.disk("store").openDirectory(catalog.directoryName)
    try home.removeFile(#require(catalog.disk(two)).flatFileName)
    try home.sync()
    try passOfTheFirst(pair, vm, "the copy is gone")
    #expect(try pair.seed(vm.disks).isRoundComplete)
    _ = try joiningPass(pair, vm, "joining")
  }

  @Test(
    "a receiver that crashed while the copy was complete does not make the pass wait until it is read again")
  func receiverCrashed() throws {
    let vm = AddedDisk()
    let pair = try pair(vm)
    defer { pair.end() }
    _ = try pair.pass(vm.disks)
    #expect(try pair.seed(vm.disks).isRoundComplete)
    let catalog = try #require(try pair.catalog)
    let maps = try pair.receiver.disk("state").openDirectory("maps").openDirectory("\(catalog.standby)")
    // As a kill in the middle of a session leaves it.
    try maps.rename("\(two).map", to: "\(two).seed")
    try passOfTheFirst(pair, vm, "nothing is known of the copy")
    let session = try pair.seed(vm.disks)
    #expect(
      session.isRoundComplete && session.bytesSent < 1 << 20, "it is read, not sent: \(session.bytesSent)")
    _ = try joiningPass(pair, vm, "joining")
  }

  @Test("with a receiver that knows no seeds an added disk joins inside the pass")
  func featureMissing() throws {
    var vm = AddedDisk()
    let pair = try pair(vm)
    defer { pair.end() }
    try pair.startReceiver(features: [.resend, .tree])
    vm.change(1)
    _ = try joiningPass(pair, vm, "no seeds")
    try pair.startReceiver()
    vm.change(2)
    _ = try joiningPass(pair, vm, "with seeds again")
    try pair.startReceiver(features: [.resend, .tree])
    let error = #expect(throws: PassError.self) { try pair.seed(vm.disks) }
    guard case .wire(.featureNotAgreed(.seed, .offer)) = error else {
      Issue.record("\(String(describing: error))")
      return
    }
  }

  @Test(
    "a disk that comes back ends no point younger than the floor: it waits, and the VM goes on without it")
  func comesBack() throws {
    var vm = AddedDisk()
    let pair = try Pair()
    defer { pair.end() }
    _ = try pair.pass(vm.disks)
    vm.change(1)
    _ = try pair.pass(vm.first)
    let before = try pair.bytes(of: two)
    for round in 2...3 {
      vm.change(UInt64(round))
      let report = try pair.pass(vm.disks)
      #expect(report.point.disks.map(\.disk) == [one] && report.deferred == [two], "round \(round)")
      let error = try #require(throws: PassError.self) { try pair.seed(vm.disks) }
      #expect("\(error)".contains("recovery points 1.1 need"), "\(error)")
    }
    #expect(try pair.catalog?.points.count == 4 && pair.catalog?.disk(two)?.state == .detached)
    #expect(try pair.bytes(of: two) == before)
  }

  @Test("a seed of a disk that the point holds, or of a VM without a point, is refused with its number")
  func notSeeding() throws {
    let vm = AddedDisk()
    let pair = try Pair()
    defer { pair.end() }
    for step in 0..<2 {
      if step == 1 { _ = try pair.pass(vm.disks) }
      let error = #expect(throws: PassError.self) { try pair.seed(vm.disks) }
      guard case .wire(.peer(ErrorNumber.notSeeding.rawValue, _, _)) = error else {
        Issue.record("\(step): \(String(describing: error))")
        return
      }
      if step == 0 { #expect(try pair.store().standbys().isEmpty, "a seed makes no standby") }
    }
    for index in 0..<2 {
      #expect((try? pair.bytes(of: Pair.disks[index])) == vm.disks[index])
    }
  }

  @Test("a VM whose every disk was replaced gets its new disks in the pass: there is nothing to go on with")
  func allReplaced() throws {
    let vm = AddedDisk()
    let pair = try pair(vm)
    defer { pair.end() }
    let report = try pair.pass(pair.view([MemoryDisk(vm.disks[1])], ids: [two]))
    #expect(report.point.disks.map(\.disk) == [two])
    #expect(report.deferred.isEmpty)
    #expect(try pair.bytes(of: two) == vm.disks[1])
    #expect(try pair.catalog?.disk(one)?.state == .detached)
  }

  @Test("a disk that grows while it seeds goes on, and joins with its new size")
  func grows() throws {
    var vm = AddedDisk()
    let pair = try pair(vm)
    defer { pair.end() }
    _ = try pair.pass(vm.disks)
    let before = try pair.seed(vm.disks, endingAt: 4 << 20)
    vm.disks[1] += [UInt8](repeating: 0, count: 2 << 20)
    vm.fill(1, 1900, 5)
    vm.change(1)
    try passOfTheFirst(pair, vm, "grown")
    let after = try pair.seed(vm.disks, endsAtStart: true)
    #expect(after.disks[0].totalBytes == before.disks[0].totalBytes + (2 << 20))
    #expect(try pair.seed(vm.disks).isRoundComplete)
    // Complete, and then it grows once more: the pass waits for nothing.
    vm.disks[1] += [UInt8](repeating: 0, count: 1 << 20)
    vm.fill(1, 2200, 6)
    try passOfTheFirst(pair, vm, "grown after it was complete")
    #expect(try pair.seed(vm.disks).isRoundComplete)
    _ = try joiningPass(pair, vm, "joining")
  }

  @Test(
    "a receiver that restarts in the middle of a session costs a new connection, and nothing is sent twice")
  func connectionCut() throws {
    let vm = AddedDisk()
    let pair = try pair(vm)
    defer { pair.end() }
    _ = try pair.pass(vm.disks)
    let isCut = Mutex(false)
    let troubles = Counter()
    let disk = MemoryDisk(vm.disks[1]) { offset in
      let isFirst = isCut.withLock { isCut in
        defer { isCut = isCut || offset >= 5 << 20 }
        return !isCut && offset >= 5 << 20
      }
      if isFirst { pair.cutConnections() }
    }
    let session = SeedSession(
      view: pair.view([MemoryDisk(vm.disks[0]), disk]), disks: [two], settings: pair.settings(retryLimit: 5),
      state: try SourceState(root: pair.sender.disk("state")), lastEpoch: pair.epoch, deadlineSeconds: 60,
      stop: StopSignal(), time: SystemTime(), progress: { _ in }, onTrouble: { _ in troubles.add() })
    let result = try session.run()
    #expect(result.isRoundComplete && troubles.value == 1)
    _ = try joiningPass(pair, vm, "joining")
  }

  @Test("the daemon's end and the deadline end a session in order, and both keep what was sent")
  func endsInOrder() throws {
    let vm = AddedDisk()
    let pair = try pair(vm)
    defer { pair.end() }
    _ = try pair.pass(vm.disks)
    let stop = StopSignal()
    stop.set()
    #expect(try pair.seed(vm.disks, stop: stop).bytesSent == 0)
    #expect(try pair.seed(vm.disks, deadlineSeconds: 0).bytesSent == 0)
    let cut = try pair.seed(vm.disks, endingAt: 4 << 20)
    #expect(!cut.isRoundComplete && cut.disks[0].doneBytes > 0)
    let rest = try pair.seed(vm.disks)
    #expect(rest.isRoundComplete)
    #expect(cut.bytesSent + rest.bytesSent < Self.onceBytes, "\(cut.bytesSent) + \(rest.bytesSent)")
  }
}
