import ReplDigest
import ReplIO
import ReplModel

/// Makes the lost map of a disk anew by reading the disk, a slice at a time, and compares its root with the
/// point's. The standby may be given away between two slices: the disks of a point do not move while it is
/// the newest.
final class MapProof {
  let point: RecoveryPoint
  let member: DiskPoint
  private let maps: any StorageDirectory
  private let map: DigestMap
  private var nextLeaf: Int64 = 0

  private var name: String { StandbyLayout.proofMap(of: member.disk) }

  init(of member: DiskPoint, at point: RecoveryPoint, in maps: any StorageDirectory) throws(StandbyError) {
    (self.point, self.member, self.maps) = (point, member, maps)
    map = try digesting { () throws(DigestError) in
      try DigestMap.create(StandbyLayout.proofMap(of: member.disk), in: maps, format: member.mapFormat)
    }
  }

  deinit {
    // A cache that came to nothing: one that stays is replaced by the next.
    try? maps.removeFile(name)
  }

  /// Pages that are dealt with.
  var donePages: Int64 { min(nextLeaf * Int64(PageGrid.pagesPerLeaf), member.grid.pageCount) }

  /// Goes on until `goesOn`, asked before every leaf with the bytes read since the last time, says no; true
  /// at the end of the disk.
  func goOn(
    on standby: Standby, goesOn: (_ readBytes: Int64) throws(StandbyError) -> Bool
  ) throws(StandbyError) -> Bool {
    guard let key = try standby.store.key(member.keyID) else { throw .keyMissing(key: member.keyID) }
    guard let entry = standby.catalog.disk(member.disk) else {
      preconditionFailure("a point holds a disk that the catalog does not know")
    }
    let file = try standby.openDiskFile(entry, .read, of: [member.grid])
    let start = nextLeaf * Int64(member.grid.leafSizeBytes)
    try storing { () throws(IOError) in
      try file.sync()
      try file.forgetCached(ByteRange(offset: start, length: max(0, member.grid.sizeBytes - start)))
    }
    var read: Int64 = 0
    let stopped = try MapBuilder(disk: file, format: member.mapFormat, key: key).fill(map, from: nextLeaf) {
      (leaf) throws(StandbyError) in
      nextLeaf = leaf
      guard try goesOn(read) else { return false }
      read = member.grid.bytes(of: member.grid.pages(ofLeaf: leaf)).length
      return true
    }
    if stopped != nil { return false }
    nextLeaf = member.grid.leafCount
    _ = try goesOn(read)
    return true
  }

  /// Whether the disk has the point's root: then the map takes the lost one's place.
  func conclude() throws(StandbyError) -> Bool {
    let root = try digesting { () throws(DigestError) in
      try map.finish(at: point.reference, pass: point.pass)
    }
    guard root == member.root else { return false }
    try storing { () throws(IOError) in
      // Another verification of the disk may have taken the name, and gives the map as well.
      guard try maps.contains(name) else { return }
      try maps.rename(name, to: StandbyLayout.map(of: member.disk))
      try maps.sync()
    }
    return true
  }
}
