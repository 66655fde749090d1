import ReplIO
import ReplModel

extension Standby {
  /// Throws `.diverged` when the data file of a disk is not the one that the last settling left. Says nothing
  /// where the catalog or the storage does not know.
  func checkUntouched(_ disk: DiskID) throws(StandbyError) {
    guard let entry = catalog.disk(disk), entry.state == .ready else { return }
    let file = try openDiskFile(entry, .read)
    try checkUntouched(entry, file)
  }

  func checkUntouched(_ entry: CatalogDisk, _ file: any StorageFile) throws(StandbyError) {
    guard let left = entry.generation else { return }
    if let change = try storing({ () throws(IOError) in try file.change(since: left) }) {
      throw .diverged(disk: entry.disk, page: nil, detail: "\(file.path): \(change)")
    }
  }

  /// The data file of a disk as it is now. Nil for a device, which keeps no times.
  func generation(of entry: CatalogDisk) throws(StandbyError) -> FileGeneration? {
    if entry.device != nil { return nil }
    let file = try storing { () throws(IOError) in
      try home.directory.openFile(entry.flatFileName, .read)
    }
    return try storing { () throws(IOError) in try file.generation() }
  }

  /// As `checkUntouched`, for a disk that belongs to no point.
  func checkSeedUntouched(_ disk: DiskID) throws(StandbyError) {
    guard let entry = catalog.disk(disk), entry.generation != nil, entry.device == nil else { return }
    let file = try storing { () throws(IOError) in
      try home.directory.openFile(entry.flatFileName, .read)
    }
    try checkUntouched(entry, file)
  }

  /// Notes a data file durably as it is now. Nothing where the storage cannot tell.
  func noteGeneration(of disk: DiskID, _ file: any StorageFile) throws(StandbyError) {
    guard let mark = try storing({ () throws(IOError) in try file.generation() }),
      catalog.disk(disk)?.generation != mark
    else { return }
    try update { catalog in
      for index in catalog.disks.indices where catalog.disks[index].disk == disk {
        catalog.disks[index].generation = mark
      }
    }
  }
}
