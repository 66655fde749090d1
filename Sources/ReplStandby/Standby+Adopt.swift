import ReplIO
import ReplModel

extension Standby {
  /// Data files of the newest point that are not there, or have another size than replication left them with.
  /// A device is looked at whenever it is opened.
  public func misshapenDisks() throws(StandbyError) -> [(disk: CatalogDisk, found: String)] {
    var found: [(disk: CatalogDisk, found: String)] = []
    for entry in catalog.disks where entry.state == .ready && entry.device == nil {
      let isThere = try storing { () throws(IOError) in try home.directory.contains(entry.flatFileName) }
      guard isThere else {
        found.append((entry, "is gone"))
        continue
      }
      let size = try storing { () throws(IOError) in
        try home.directory.openFile(entry.flatFileName, .read).currentSizeBytes()
      }
      if size != entry.grid.sizeBytes { found.append((entry, "has \(size) bytes")) }
    }
    return found
  }

  /// Makes data files that are gone, and gives those their size that have another one: what is missing in
  /// them is zero then, and found by reading. Bytes behind the end of a disk are cut off.
  func reshapeDisks() throws(StandbyError) {
    try checkNotHeld()
    for (entry, _) in try misshapenDisks() {
      let file = try storing { () throws(IOError) in
        try home.directory.openFile(entry.flatFileName, .createIfMissing)
      }
      try checkUnused(file)
      try storing { () throws(IOError) in
        try file.truncate(to: entry.grid.sizeBytes)
        try file.sync()
        try home.directory.sync()
      }
    }
  }
}

extension StandbyStore {
  /// Takes a standby back that somebody else wrote: all of it is read, what is right stays, what differs is
  /// wanted, and the next pass brings it. Throws `.fenced` for a promoted one. Nil when the store has no such
  /// standby.
  ///
  /// Done again after a crash it begins anew; until it is at its end the standby stays diverged.
  public func adopt(
    vm: VMID, progress: (VerifyProgress) -> Bool = { _ in true }
  ) throws(StandbyError) -> VerifyOutcome? {
    var request = VerifyRequest(.everything)
    request.repairs = true
    return try adopt(vm: vm, request, progress: progress)
  }

  func adopt(
    vm: VMID, _ request: VerifyRequest, progress: (VerifyProgress) -> Bool
  ) throws(StandbyError) -> VerifyOutcome? {
    guard
      let standby = try VerifyPace(request: request).open(vm, in: self, goesOn: { true })
    else { return nil }
    try standby.checkVerifiable()
    try standby.reshapeDisks()
    _ = consume standby
    return try verify(vm: vm, request, progress: progress)
  }
}
