import ReplIO
import ReplModel
import ReplStandby
import ReplTestKit
import Testing

@testable import ReplPass

/// A disk is added over storage that loses, tears and reorders what was not synced: the power is cut at
/// operations of either side all over the passes and seed sessions.
@Suite(.serialized) struct PairSeedSweepTests {
  enum Side: String, CaseIterable { case receiver, sender }

  private enum Step { case pass, partOfSeed, seed }

  private struct Scene {
    let step: Step
    let images: [[UInt8]]
    /// Bytes that a pass may read at most: the added disk does not delay it.
    var readLimit: Int64 = .max
  }

  /// A point; the disk is added; two sessions with passes between them; it joins; another pass.
  private static let scenes: [Scene] = {
    var vm = AddedDisk(sizes: [(300 << 10) + 1536, (6 << 20) + 512], everyPage: 16)
    let small = Int64(vm.disks[0].count)
    var scenes = [Scene(step: .pass, images: vm.first)]
    for (number, step) in [Step.partOfSeed, .seed].enumerated() {
      vm.change(UInt64(number + 1))
      scenes.append(Scene(step: .pass, images: vm.disks, readLimit: small))
      scenes.append(Scene(step: step, images: vm.disks))
    }
    for number in 5...6 {
      vm.change(UInt64(number))
      scenes.append(Scene(step: .pass, images: vm.disks))
    }
    return scenes
  }()

  private static var last: [[UInt8]] { scenes[scenes.count - 1].images }

  private func play(_ scene: Scene, _ pair: Pair, _ context: String) throws {
    switch scene.step {
    case .partOfSeed: _ = try pair.seed(scene.images, endingAt: 1 << 20)
    case .seed: _ = try pair.seed(scene.images)
    case .pass:
      let report = try pair.pass(scene.images)
      #expect(report.pass.readBytes <= scene.readLimit, "\(context): the pass waited for the added disk")
      try check(pair, report.point.disks.map(\.disk), scene.images, context)
    }
  }

  /// Byte for byte, every disk of the point that was just committed.
  private func check(_ pair: Pair, _ disks: [DiskID], _ images: [[UInt8]], _ context: String) throws {
    for disk in disks {
      let index = try #require(Pair.disks.firstIndex(of: disk), "\(context)")
      let isRight = try pair.bytes(of: disk) == images[index]
      #expect(isRight, "\(context): disk \(index)")
    }
  }

  private func operations() throws -> (receiver: Int, sender: Int) {
    let pair = try Pair()
    defer { pair.end() }
    let before = (pair.receiver.operationCount, pair.sender.operationCount)
    for scene in Self.scenes { try play(scene, pair, "undisturbed") }
    let catalog = try #require(try pair.catalog)
    #expect(catalog.newest?.disks.count == 2 && catalog.newest?.reference.number == 5)
    return (pair.receiver.operationCount - before.0, pair.sender.operationCount - before.1)
  }

  @Test(
    "power is cut while a disk is added: the other disk's points stay right, and the disk joins all the same",
    arguments: Side.allCases)
  func sweep(_ side: Side) throws {
    let total = try operations()
    let count = side == .sender ? total.sender : total.receiver
    #expect(count > 60, "the scenario must be worth sweeping")
    let step = side == .sender ? 7 : 17
    for number in stride(from: 1, through: count, by: step) {
      try run(side, cutAt: number, survivors: number % 4 == 0 ? .none : .random(seed: UInt64(number)))
    }
    print("\(side.rawValue): every \(step)th of \(count) operations")
  }

  private func run(_ side: Side, cutAt number: Int, survivors: Survivors) throws {
    let context = "\(side.rawValue) cut at \(number), survivors \(survivors)"
    let pair = try Pair()
    defer { pair.end() }
    let machine = side == .sender ? pair.sender : pair.receiver
    machine.plan(FaultPlan(.powerCut, atOperation: machine.operationCount + number))
    var next = 0
    do {
      while next < Self.scenes.count {
        try play(Self.scenes[next], pair, "\(context), scene \(next)")
        next += 1
      }
    } catch {
      // The cut; what it left is checked below.
    }
    switch side {
    case .sender: pair.restartSender(survivors)
    case .receiver:
      pair.restartReceiver(survivors)
      try pair.startReceiver()
    }
    for index in min(next, Self.scenes.count - 1)..<Self.scenes.count {
      let scene = Self.scenes[index]
      // How much a pass reads depends on whether the cut one had taken the disk in: only its bytes count.
      try play(Scene(step: scene.step, images: scene.images), pair, "\(context), scene \(index) again")
    }
    try join(pair, context)
  }

  /// Whatever the cut cost, two more sessions bring the disk in.
  private func join(_ pair: Pair, _ context: String) throws {
    for _ in 0..<3 {
      let report = try pair.pass(Self.last)
      if report.deferred.isEmpty {
        #expect(report.point.disks.map(\.disk) == Pair.disks, "\(context)")
        return try check(pair, Pair.disks, Self.last, context)
      }
      _ = try pair.seed(Self.last)
    }
    Issue.record("\(context): the disk never joined")
  }
}
