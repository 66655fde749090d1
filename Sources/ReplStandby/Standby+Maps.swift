import ReplDigest
import ReplIO
import ReplModel

extension CatalogDisk {
  var mapFormat: DigestMapFormat { DigestMapFormat(disk: disk, grid: grid, keyID: keyID) }
}

extension RecoveryPoint {
  func disk(_ id: DiskID) -> DiskPoint? { disks.first { $0.disk == id } }
}

extension DiskPoint {
  var mapFormat: DigestMapFormat { DigestMapFormat(disk: disk, grid: grid, keyID: keyID) }
}

extension Standby {
  /// The map of a disk of `point`, whose root is the point's. A map that is missing, damaged or of another
  /// point is made anew by reading the disk, which must hold exactly the point; else `.diverged`.
  func map(
    of member: DiskPoint, at point: RecoveryPoint, makesWay: Bool = true
  ) throws(StandbyError) -> DigestMap {
    if let map = trustedMap(of: member, at: point) { return map }
    return try rebuildMap(of: member, at: point, makesWay: makesWay)
  }

  /// The map of a disk of `point` as one of a disk of `grid`, for a pass that makes the disk larger: the same
  /// map where it is as large already, else a wider one beside it.
  func map(
    of member: DiskPoint, at point: RecoveryPoint, on grid: PageGrid
  ) throws(StandbyError) -> DigestMap {
    if grid == member.grid { return try map(of: member, at: point) }
    let name = StandbyLayout.wideMap(of: member.disk)
    let format = DigestMapFormat(disk: member.disk, grid: grid, keyID: member.keyID)
    // An interrupted pass has left it; whatever is wrong with it, it is made anew.
    if let wide = try? DigestMap.open(name, in: maps, format: format),
      case .at(point.reference, point.pass) = wide.state
    {
      return wide
    }
    let base = try map(of: member, at: point)
    return try digesting { () throws(DigestError) in try base.widened(to: grid, as: name, in: maps) }
  }

  func trustedMap(of member: DiskPoint, at point: RecoveryPoint) -> DigestMap? {
    guard
      // Whatever is wrong with a map, the answer is the same: it is made anew.
      let map = try? DigestMap.open(StandbyLayout.map(of: member.disk), in: maps, format: member.mapFormat),
      // The same.
      case .at(point.reference, point.pass) = map.state, (try? map.root()) == member.root
    else { return nil }
    return map
  }

  /// `makesWay`: throws `.interruptedByFailover` when a failover waits, which reading all of a disk would
  /// hold up. A failover that settles a committed point itself must not be stopped by its own request.
  func rebuildMap(
    of member: DiskPoint, at point: RecoveryPoint, makesWay: Bool = true
  ) throws(StandbyError) -> DigestMap {
    guard let key = try store.key(member.keyID) else { throw .keyMissing(key: member.keyID) }
    guard let entry = catalog.disk(member.disk) else {
      preconditionFailure("a point holds a disk that the catalog does not know")
    }
    let file = try openDiskFile(entry, .read, of: [member.grid])
    // It was made from the map that is of no use any more.
    try dropWideMap(of: member.disk)
    let map = try digesting { () throws(DigestError) in
      try DigestMap.create(StandbyLayout.map(of: member.disk), in: maps, format: member.mapFormat)
    }
    _ = try MapBuilder(disk: file, format: member.mapFormat, key: key).fill(map, from: 0) {
      (leaf) throws(StandbyError) in
      if makesWay { try checkFailoverRequest(every: 16, of: leaf) }
      return true
    }
    let root = try digesting { () throws(DigestError) in
      try map.finish(at: point.reference, pass: point.pass)
    }
    guard root == member.root else {
      // The map tells the truth about the disk, but not of this point: nobody may take it for that.
      dropMap(of: member.disk)
      throw .diverged(
        disk: member.disk, page: nil,
        detail: "its root is \(root), that of point \(point.reference) is \(member.root)")
    }
    return map
  }

  /// Forgets the map and delta of a disk; the next user makes the map anew.
  func dropMap(of disk: DiskID) {
    for name in [
      StandbyLayout.map(of: disk), StandbyLayout.delta(of: disk), StandbyLayout.wideMap(of: disk),
    ] {
      // They are caches: one that cannot be removed is not trusted either, for its header does not fit.
      if (try? maps.contains(name)) == true { try? maps.removeFile(name) }
    }
  }

  /// Removes the wider map of a disk; not synced, for one that comes back is known by its header.
  func dropWideMap(of disk: DiskID) throws(StandbyError) {
    let name = StandbyLayout.wideMap(of: disk)
    try storing { () throws(IOError) in if try maps.contains(name) { try maps.removeFile(name) } }
  }

  /// Brings the map of a ready disk from its old key to a new one: the disk is read, checked against the old
  /// root where the old key is still here, and digested anew. The catalog follows, so that the newest point
  /// is known by the new root. Of a disk that is wanted nothing is carried over.
  func rekey(_ entry: CatalogDisk, to keyID: KeyID) throws(StandbyError) {
    guard let point = catalog.newest, let member = point.disk(entry.disk) else {
      preconditionFailure("only a disk of the newest point has a root to carry over")
    }
    var wanted = try wantedList()
    if wanted.disk(entry.disk) != nil {
      // It has not that root, which is known: the pass compares all of it with the source.
      wanted.add(entry.disk, PageRangeList(), isMapLost: true)
      return try wanted.save(in: home.privateDirectory)
    }
    if try store.key(member.keyID) != nil {
      _ = try recordingDivergence { () throws(StandbyError) in try rebuildMap(of: member, at: point) }
    }
    guard let key = try store.key(keyID) else { throw .keyMissing(key: keyID) }
    let file = try openDiskFile(entry, .read)
    let format = DigestMapFormat(disk: entry.disk, grid: entry.grid, keyID: keyID)
    let map = try digesting { () throws(DigestError) in
      try DigestMap.create(StandbyLayout.map(of: entry.disk), in: maps, format: format)
    }
    _ = try MapBuilder(disk: file, format: format, key: key).fill(map, from: 0) {
      (leaf) throws(StandbyError) in
      try checkFailoverRequest(every: 16, of: leaf)
      return true
    }
    let root = try digesting { () throws(DigestError) in
      try map.finish(at: point.reference, pass: point.pass)
    }
    let renewed = DiskPoint(
      disk: member.disk, slot: member.slot, grid: member.grid, keyID: keyID, root: root)
    try update { catalog in
      catalog.kept[catalog.kept.count - 1] = catalog.kept[catalog.kept.count - 1]
        .replacing(point: point.replacing(renewed))
      for index in catalog.disks.indices where catalog.disks[index].disk == entry.disk {
        catalog.disks[index].keyID = keyID
      }
    }
  }
}

extension RecoveryPoint {
  fileprivate func replacing(_ member: DiskPoint) -> RecoveryPoint {
    RecoveryPoint(
      receiver: receiver, vm: vm, reference: reference, pass: pass, frozenAt: frozenAt,
      committedAt: committedAt, label: label,
      disks: disks.map { $0.disk == member.disk ? member : $0 })
  }
}
