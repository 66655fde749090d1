import ReplDigest
import ReplIO
import ReplModel
import ReplTestKit

@testable import ReplStandby

/// A standby with several points, for tests of what is done with older ones.
struct PointBench {
  let machine: SimulatedMachine
  let senders: [Sender]
  let time = ManualTime()
  let policy: RetentionPolicy

  /// Every point is kept unless `policy` says otherwise.
  static let everything = RetentionPolicy(last: 500, hourly: 0, daily: 0, weekly: 0, floorSeconds: 0)

  init(_ images: [Image], policy: RetentionPolicy = everything) throws {
    machine = try Bench.machine()
    senders = try images.map { try Sender($0) }
    self.policy = policy
  }

  func store(on other: SimulatedMachine? = nil, floor: Int64 = 0) throws -> StandbyStore {
    let (machine, policy) = (other ?? machine, policy)
    return try StandbyStore(
      root: machine.disk("store"), state: machine.disk("state"), receiver: Bench.receiver, time: time,
      files: PlainFiles(), freeSpaceFloorBytes: floor, retention: { _ in policy })
  }

  /// Passes 1 to `count`, an hour apart, each followed by retention.
  func replicate(_ count: Int? = nil, secondsBetween: Double = 3600) throws {
    let store = try store()
    for number in 1...(count ?? senders.count) {
      let standby = try Bench.standby(in: store)
      try senders[number - 1].replicate(number, to: standby)
      _ = try standby.applyRetention()
      time.advance(seconds: secondsBetween)
    }
  }

  static func reference(_ number: Int) -> PointReference {
    PointReference(epoch: Epoch(1), number: UInt64(number))
  }

  /// The disks of a point, put together in a directory of their own.
  func extract(_ number: Int, on other: SimulatedMachine? = nil) throws -> [[UInt8]] {
    let machine = other ?? machine
    let store = try store(on: machine)
    guard let summary = try store.standbys().first else { throw StandbyError.storeMissing(path: "?") }
    let name = "mounted-\(number)"
    let target = try machine.disk("store").createDirectory(name)
    let extraction = try PointExtraction(Self.reference(number), of: summary, in: store) { _ in }
    let result = try extraction.run(into: target)
    guard result.isVerified else { throw StandbyError.pointRefused(detail: "not verified") }
    let disks = Bench.diskIDs.compactMap { summary.catalog?.disk($0)?.flatFileName }
    return try disks.map { try Bench.bytes(of: target.openFile($0, .read)) }
  }

  /// Whether every kept point can be put together exactly as its source was.
  func differing(on other: SimulatedMachine? = nil) throws -> [PointReference] {
    let store = try store(on: other)
    let kept = try store.standbys().first?.catalog?.points ?? []
    return try kept.filter { point in
      let disks = try extract(Int(point.reference.number), on: other)
      return !zip(disks, senders[Int(point.pass.low) - 1].image.disks).allSatisfy(isSame)
    }.map(\.reference)
  }
}

extension Image {
  /// A disk of ten pages besides one that never changes, all with content.
  static func tenPages() -> Image {
    var image = Image(
      disks: [[UInt8](repeating: 0, count: 40960), [UInt8](repeating: 0, count: 4096)],
      vmx: Array("displayName = \"ten\"\n".utf8), nvram: [1])
    for page in 0..<10 { image.fill(0, page, UInt64(page + 1)) }
    image.fill(1, 0, 99)
    return image
  }

  func changing(_ pages: [Int], seed: UInt64) -> Image {
    var image = self
    for page in pages { image.fill(0, page, seed &+ UInt64(page)) }
    return image
  }
}
