import ReplDigest
import ReplIO
import ReplModel

/// Makes the map of a disk that is being seeded anew by reading the disk: after a crash nobody knows what is
/// in it.
///
/// Of a large disk that takes long, and whoever reads holds the standby: so it makes way for a failover, and
/// where it has a limit it ends there and goes on from that leaf next time.
struct SeedMapReading {
  let file: any StorageFile
  let entry: CatalogDisk
  let standby: Standby
  /// Everything is written once more: see `MapBuilder`. Then no part of it counts before the end.
  let rewrites: Bool
  /// The file is new or has another size: what an earlier reading knew is not of it.
  let isFresh: Bool
  /// Nil: to the end of the disk, however long it takes.
  let limitSeconds: Double?

  private static let positionBytes = 32
  private static let leavesBetweenLooks = 16
  private var mapName: String { StandbyLayout.seedMap(of: entry.disk) }
  private var positionName: String { StandbyLayout.seedPosition(of: entry.disk) }

  /// Throws `.readingAgain` when the limit is reached, `.interruptedByFailover` when one waits.
  func run() throws(StandbyError) -> DigestMap {
    guard let key = try standby.store.key(entry.keyID) else { throw .keyMissing(key: entry.keyID) }
    let (map, first) = try begin()
    let limit = limitSeconds.map { Deadline(seconds: $0, time: standby.store.time) }
    let builder = try MapBuilder(disk: file, format: entry.mapFormat, key: key, rewrites: rewrites)
    var leaves = 0
    let stoppedAt = try builder.fill(map, from: first) { (_) throws(StandbyError) in
      defer { leaves += 1 }
      // A look costs a few system calls: not at every leaf that is read.
      guard leaves % Self.leavesBetweenLooks == 0 else { return true }
      try standby.checkFailoverRequest()
      return limit?.hasPassed != true
    }
    if let stoppedAt { try keep(map, upTo: stoppedAt) }
    _ = try digesting { () throws(DigestError) in
      try map.finish(
        at: PointReference(epoch: standby.catalog.epoch, number: 0), pass: PassID(high: 0, low: 0))
    }
    try forgetPosition()
    return map
  }

  /// The map that a reading before has begun, and where it goes on; else a new one.
  private func begin() throws(StandbyError) -> (DigestMap, Int64) {
    if !rewrites, !isFresh, let first = try position(), let map = heldMap() { return (map, first) }
    // In this order: a position must never stand beside a map that is not its own.
    try forgetPosition()
    let map = try digesting { () throws(DigestError) in
      try DigestMap.create(mapName, in: standby.maps, format: entry.mapFormat)
    }
    return (map, 0)
  }

  private func heldMap() -> DigestMap? {
    // Whatever is wrong with it, the answer is the same: a new one.
    guard let map = try? DigestMap.open(mapName, in: standby.maps, format: entry.mapFormat),
      map.state == .working
    else { return nil }
    return map
  }

  private func position() throws(StandbyError) -> Int64? {
    try storing { () throws(IOError) in
      guard try standby.maps.contains(positionName) else { return nil }
      let bytes = try standby.maps.readFile(positionName, limitBytes: Self.positionBytes)
      let leaf = Int64(String(decoding: bytes, as: UTF8.self)) ?? -1
      return (0...entry.grid.leafCount).contains(leaf) ? leaf : nil
    }
  }

  /// What was read is durable on the disk and in the map before the position says so.
  private func keep(_ map: DigestMap, upTo leaf: Int64) throws(StandbyError) {
    if !rewrites {
      do {
        try file.sync()
      } catch {
        standby.distrust(entry.disk)
        throw StandbyError(error)
      }
      try digesting { () throws(DigestError) in try map.sync() }
      try storing { () throws(IOError) in
        try standby.maps.replaceFile(positionName, with: Array("\(leaf)".utf8))
      }
    }
    throw .readingAgain(
      disk: entry.disk, doneBytes: min(leaf * Int64(entry.grid.leafSizeBytes), entry.grid.sizeBytes),
      totalBytes: entry.grid.sizeBytes)
  }

  private func forgetPosition() throws(StandbyError) {
    try storing { () throws(IOError) in
      guard try standby.maps.contains(positionName) else { return }
      try standby.maps.removeFile(positionName)
      try standby.maps.sync()
    }
  }
}
