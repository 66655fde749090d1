import ReplIO
import ReplModel

extension Standby {
  /// Opens the data file of a disk and checks that it is what it must be: a plain file with one name, of the
  /// right size, that nobody else uses. `grids`: those whose size is right, when it is not the catalog's.
  func openDiskFile(
    _ disk: CatalogDisk, _ access: FileAccess, of grids: [PageGrid]? = nil
  ) throws(StandbyError) -> any StorageFile {
    if let device = disk.device { return try openDevice(disk, device, of: grids) }
    let file: any StorageFile
    do {
      file = try home.directory.openFile(disk.flatFileName, access)
    } catch {
      guard error.isMissing else { throw StandbyError(error) }
      throw .diverged(disk: disk.disk, page: nil, detail: "\(error.path) is gone")
    }
    let size = try storing { () throws(IOError) in try file.currentSizeBytes() }
    let sizes = (grids ?? [disk.grid]).map(\.sizeBytes)
    guard sizes.contains(size) else {
      let expected = sizes.map { "\($0)" }.joined(separator: " or ")
      throw .diverged(
        disk: disk.disk, page: nil, detail: "\(file.path) has \(size) bytes, not \(expected)")
    }
    try checkUnused(file)
    return file
  }

  /// Opens the data file of a disk whose first copy is under way; makes it when it is missing. `isFresh` when
  /// nothing of an earlier pass can be in it. The size of a suspect one is set once more, like everything in
  /// it.
  func openSeedFile(
    _ disk: CatalogDisk, isSuspect: Bool
  ) throws(StandbyError) -> (file: any StorageFile, isFresh: Bool) {
    // A device holds something at all times: it is read, and only what differs is written.
    if let device = disk.device { return (try openDevice(disk, device), false) }
    let isMissing = try storing { () throws(IOError) in try !home.directory.contains(disk.flatFileName) }
    let file = try storing { () throws(IOError) in
      try home.directory.openFile(disk.flatFileName, .createIfMissing)
    }
    try checkUnused(file)
    do {
      let isSized = try file.currentSizeBytes() == disk.grid.sizeBytes
      if !isSized || isSuspect { try file.truncate(to: disk.grid.sizeBytes) }
      try file.sync()
      // Also for a file that is there: a crash may have come before its name was durable.
      try home.directory.sync()
      return (file, isMissing || !isSized)
    } catch {
      distrust(disk.disk)
      throw StandbyError(error)
    }
  }

  func checkUnused(_ file: any StorageFile) throws(StandbyError) {
    try checkNotHeld()
    try StandbyHolders.checkUnlocked(file)
  }
}
