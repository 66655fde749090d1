import ReplDigest
import ReplIO
import ReplModel

extension Settling {
  /// Step c: the maps of the point's disks become those of the point. A map is a cache on other storage than
  /// the disks: a failure to write it drops it, and the next pass makes it anew. What is thrown is a disk
  /// that is not what it must be.
  func settleMaps() throws(StandbyError) {
    for member in point.disks {
      // One that was of use has got the map's name; one that stays is of use to nobody.
      defer { try? standby.dropWideMap(of: member.disk) }
      // Without the key there is nothing to check and nothing to build; the disks are right by the journal's
      // checksums.
      guard hasKey(member.keyID) else {
        standby.dropMap(of: member.disk)
        continue
      }
      do throws(StandbyError) {
        try settleMap(of: member)
      } catch {
        if case .diverged = error {
          guard wanted.disk(member.disk) != nil else { throw error }
          try wantAll(of: member)
        }
        standby.dropMap(of: member.disk)
        mapFailures[member.disk] = error
      }
    }
  }

  /// The disk was not right before, and this pass could not know where: that stays to be found by the next,
  /// which compares all of it with the source.
  private func wantAll(of member: DiskPoint) throws(StandbyError) {
    var all = PageRangeList()
    all.append(0..<member.grid.pageCount)
    wanted.remove(member.disk)
    wanted.add(member.disk, all, isMapLost: true)
    try wanted.save(in: standby.home.privateDirectory)
    stillUnknown.insert(member.disk)
  }

  private func hasKey(_ id: KeyID) -> Bool {
    // A key file that cannot be read is as good as none here.
    (try? standby.store.key(id)) != nil
  }

  private func settleMap(of member: DiskPoint) throws(StandbyError) {
    if standby.trustedMap(of: member, at: point) != nil { return }
    if let index = header.disks.firstIndex(where: { $0.disk == member.disk }) {
      // Whatever is wrong with base or delta, reading the disk says what is right.
      if (try? merge(member, journalIndex: index)) == true { return }
    }
    _ = try standby.rebuildMap(of: member, at: point)
  }

  /// True when the base map was brought to the point.
  private func merge(_ member: DiskPoint, journalIndex: Int) throws(StandbyError) -> Bool {
    if let overlay = live[member.disk] {
      try digesting { () throws(DigestError) in
        try overlay.delta.seal(pass: point.pass, root: member.root)
        try overlay.delta.merge(as: point.reference)
      }
    } else {
      try mergeWhatIsLeft(member, journalIndex: journalIndex)
    }
    if let grown = grownMember(member) { try adoptWideMap(of: grown.disk) }
    return standby.trustedMap(of: member, at: point) != nil
  }

  /// The disk in the base point, when the pass makes it larger.
  private func grownMember(_ member: DiskPoint) -> DiskPoint? {
    guard let before = standby.catalog.newest?.disk(member.disk), before.grid != member.grid else {
      return nil
    }
    return before
  }

  /// The wider map takes the name of the one that it was made from.
  private func adoptWideMap(of disk: DiskID) throws(StandbyError) {
    let maps = standby.maps
    try storing { () throws(IOError) in
      try maps.rename(StandbyLayout.wideMap(of: disk), to: StandbyLayout.map(of: disk))
      try maps.sync()
    }
  }

  /// The base map as large as the point's disk. Never read from the disk, which may hold the new pages.
  private func openBase(_ member: DiskPoint) throws(StandbyError) -> DigestMap {
    let maps = standby.maps
    guard let before = grownMember(member), let base = standby.catalog.newest else {
      return try digesting { () throws(DigestError) in
        try DigestMap.open(StandbyLayout.map(of: member.disk), in: maps, format: member.mapFormat)
      }
    }
    let name = StandbyLayout.wideMap(of: member.disk)
    // Whatever is wrong with it, it is made anew.
    if let wide = try? DigestMap.open(name, in: maps, format: member.mapFormat), wide.state != .working {
      return wide
    }
    guard let narrow = standby.trustedMap(of: before, at: base) else {
      throw .digest(DigestError(.missing, name, "the map of the point before is not there"))
    }
    return try digesting { () throws(DigestError) in
      try narrow.widened(to: member.grid, as: name, in: maps)
    }
  }

  /// After a crash: with the delta, where it was sealed, else with the journal.
  private func mergeWhatIsLeft(_ member: DiskPoint, journalIndex: Int) throws(StandbyError) {
    let maps = standby.maps
    let base = try openBase(member)
    let sealed = try digesting { () throws(DigestError) in
      try DigestDelta.openSealed(StandbyLayout.delta(of: member.disk), in: maps, over: base)
    }
    if let sealed, sealed.sealedPass == point.pass {
      try digesting { () throws(DigestError) in try sealed.merge(as: point.reference) }
    } else if case .at(let reference, _) = base.state, reference == header.base {
      try mergeFromJournal(member, base: base, journalIndex: journalIndex)
    }
  }

  /// The delta once more from the digests in the journal.
  private func mergeFromJournal(_ member: DiskPoint, base: DigestMap, journalIndex: Int) throws(StandbyError)
  {
    let overlay = try MapOverlay(base: base, for: member.disk, in: standby.maps)
    let memory = AlignedBuffer(byteCount: (Limits.batchBytes / 4096 + 1) * PageDigest.byteCount)
    let digests = memory.bytes.bindMemory(to: PageDigest.self)
    try reader.rewind()
    while let record = try reader.next(), record.type != .commit {
      guard record.type == .batch, let batch = BatchRecord(record, disks: header.disks),
        batch.diskIndex == journalIndex
      else { continue }
      let count = batch.digestBytes.count / PageDigest.byteCount
      for index in 0..<count { digests[index] = batch.digestBytes.digest(at: index * PageDigest.byteCount) }
      try digesting { () throws(DigestError) in
        try overlay.note(batch.runs, UnsafeBufferPointer(rebasing: digests[0..<count]))
      }
    }
    try digesting { () throws(DigestError) in
      try overlay.delta.seal(pass: point.pass, root: member.root)
      try overlay.delta.merge(as: point.reference)
    }
  }
}
