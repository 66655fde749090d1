import ReplDigest
import ReplIO
import ReplModel

extension Standby {
  /// Reads a disk of the newest point from its first byte to its last, past the cache where the system
  /// allows it. The map of the point, where there is a good one, only tells where the disk is not what it
  /// should be. Nil when `goesOn`, asked with the bytes of every part that was read, says no. An I/O error is
  /// part of the result; `.diverged`, `.inUse`, `.keyMissing` are thrown.
  public func readInFull(
    _ disk: DiskID, placeLimit: Int, goesOn: (Int) -> Bool
  ) throws(StandbyError) -> FullReading.Result? {
    guard let point = catalog.newest, let member = point.disk(disk), let entry = catalog.disk(disk) else {
      throw .badOffer(detail: "disk \(disk) is in no recovery point")
    }
    guard let key = try store.key(member.keyID) else { throw .keyMissing(key: member.keyID) }
    let file = try openDiskFile(entry, .read, of: [member.grid])
    let map = trustedMap(of: member, at: point)
    return try digesting { () throws(DigestError) in
      try FullReading(file, grid: member.grid, key: key, placeLimit: placeLimit).run(
        comparing: map, goesOn: goesOn)
    }
  }

  /// A proof has shown that a point's disks are those of the source, durably noted. What was held against the
  /// disks before is answered by it.
  public func markProven(_ reference: PointReference) throws(StandbyError) {
    let now = store.time.wallTime()
    try update { catalog in
      for index in catalog.kept.indices where catalog.kept[index].reference == reference {
        catalog.kept[index].verifiedAt = now
      }
      if catalog.newest?.reference == reference { catalog.suspicion = nil }
    }
  }

  /// A proof has found a difference: durably noted, the standby is not started without force from now on.
  public func markSuspect(disk: DiskID?, pageCount: Int64, detail: String) throws(StandbyError) {
    let suspicion = Suspicion(
      at: store.time.wallTime(), disk: disk, pageCount: pageCount,
      detail: SafeText.printable(detail, limit: 1024))
    try update { $0.suspicion = suspicion }
  }
}
