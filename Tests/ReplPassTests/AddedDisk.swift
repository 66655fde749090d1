import ReplIO
import ReplModel
import ReplStandby
import ReplTestKit
import Synchronization

@testable import ReplPass
@testable import ReplSource

/// A VM with a small disk, to which a larger one is added.
struct AddedDisk {
  static let leafBytes = 1 << 20
  /// The first ends in the middle of a page, the second in the middle of a leaf.
  static let sizes = [(300 << 10) + 1536, 6 * leafBytes + (200 << 10) + 512]

  var disks: [[UInt8]]

  /// Every n-th page of the added disk is in use.
  init(sizes: [Int] = Self.sizes, everyPage step: Int = 1) {
    disks = sizes.map { [UInt8](repeating: 0, count: $0) }
    for page in [0, 1, 5, 40, 75] { fill(0, page, UInt64(page + 1)) }
    for page in stride(from: 0, through: sizes[1] / 4096, by: step) { fill(1, page, UInt64(page + 100)) }
  }

  mutating func fill(_ disk: Int, _ page: Int, _ seed: UInt64) {
    let end = min((page + 1) * 4096, disks[disk].count)
    let bytes =
      seed == 0 ? [UInt8](repeating: 0, count: 4096) : PageMaker.random(byteCount: 4096, seed: seed)
    disks[disk].replaceSubrange((page * 4096)..<end, with: bytes[0..<(end - page * 4096)])
  }

  /// The guest goes on: pages of both disks change, become zero, come into use.
  mutating func change(_ seed: UInt64) {
    fill(0, Int(seed * 7 % 75), seed + 1000)
    fill(0, Int(seed * 5 % 75), 0)
    let pages = disks[1].count / 4096
    for step in 0..<7 { fill(1, (Int(seed) * 31 + step * 241) % pages, seed * 10 + UInt64(step) + 5000) }
    fill(1, Int(seed) * 11 % pages, 0)
  }

  var first: [[UInt8]] { [disks[0]] }
}

extension Pair {
  /// One seed session of a new sender process. Ends in order when the source reads at `endingAt` or later;
  /// with `endsAtStart` also when it reads the first page.
  func seed(
    _ images: [[UInt8]], endingAt offset: Int64 = .max, endsAtStart: Bool = false,
    deadlineSeconds: Double = 30,
    stop: StopSignal = StopSignal(), onTrouble: @escaping @Sendable (PassError) -> Void = { _ in }
  ) throws -> SeedSession.Result {
    let running = Mutex<SeedSession?>(nil)
    let disks = images.enumerated().map { index, bytes in
      MemoryDisk(bytes) {
        guard index == 1, $0 >= offset || (endsAtStart && $0 == 0) else { return }
        running.withLock { $0 }?.end.isDue.set()
      }
    }
    let session = SeedSession(
      view: view(disks), disks: [Pair.disks[1]], settings: settings(),
      state: try SourceState(root: sender.disk("state")), lastEpoch: epoch, deadlineSeconds: deadlineSeconds,
      stop: stop, time: SystemTime(), progress: { _ in }, onTrouble: onTrouble)
    running.withLock { $0 = session }
    defer { running.withLock { $0 = nil } }
    return try session.run()
  }

  /// The data file of a standby disk; nil before it exists.
  func bytes(of disk: DiskID) throws -> [UInt8]? {
    guard let summary = try store().standbys().first, let catalog = summary.catalog,
      let entry = catalog.disk(disk)
    else { return nil }
    let home = try receiver.disk("store").openDirectory(summary.directory)
    guard try home.contains(entry.flatFileName) else { return nil }
    let file = try home.openFile(entry.flatFileName, .read)
    var bytes = [UInt8](repeating: 0, count: Int(try file.currentSizeBytes()))
    try bytes.withUnsafeMutableBytes { try file.read(into: $0, at: 0) }
    return bytes
  }

  var catalog: Catalog? { get throws { try store().standbys().first?.catalog } }
}
