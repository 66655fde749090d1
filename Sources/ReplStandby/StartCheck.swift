import ReplIO
import ReplModel

/// Looks whether a recovery point can be started, before anything is done for good.
struct StartCheck {
  let files: any StandbyFilesMaking
  let directory: any StorageDirectory
  let sources: SourceFiles
  let catalog: Catalog
  let point: RecoveryPoint
  /// Also a disk that somebody else wrote: its size must be right all the same.
  var takesChanged = false
  /// Where disks may lie on devices.
  let devices: StandbyDevices?

  func run() throws(StandbyError) {
    try StandbyHolders(directory: directory, fileNames: catalog.heldFileNames).check()
    try checkDisks()
    // The files of a point that is not settled yet are checked when settling makes them.
    guard let kept = catalog.kept(point.reference) else { return }
    var held: [SourceFile: [UInt8]] = [:]
    for file in SourceFile.allCases {
      if let hash = kept.hash(of: file) { held[file] = try sources.require(hash, file) }
    }
    let request = StandbyFilesRequest(
      vm: catalog.vm, displayName: catalog.displayName, slug: catalog.slug, point: point,
      disks: catalog.disks(of: kept), sourceVMX: held[.vmx], sourceNVRAM: held[.nvram], isStartable: true)
    _ = try files.files(for: request).checked(besides: catalog.disks)
  }

  private func checkDisks() throws(StandbyError) {
    for member in point.disks {
      guard let disk = catalog.disk(member.disk) else {
        throw .catalogDamaged(
          path: directory.path,
          detail: "point \(point.reference) has disk \(member.disk), the catalog does not")
      }
      if let device = disk.device {
        try checkDevice(device, disk, member)
        continue
      }
      let path = "\(directory.path)/\(disk.flatFileName)"
      let (file, size): (any StorageFile, Int64)
      do throws(IOError) {
        // Only a plain file with one link can be opened.
        file = try directory.openFile(disk.flatFileName, .read)
        size = try file.currentSizeBytes()
      } catch {
        guard error.isMissing else { throw StandbyError(error) }
        throw .diverged(disk: disk.disk, page: nil, detail: "\(path) is gone")
      }
      // A point that is not settled yet may make the disk larger.
      guard size == disk.grid.sizeBytes || size == member.grid.sizeBytes else {
        throw .diverged(
          disk: disk.disk, page: nil, detail: "\(path) has \(size) bytes, not \(member.grid.sizeBytes)")
      }
      try StandbyHolders.checkUnlocked(file)
      try checkUntouched(disk, file)
    }
  }

  /// Not while a point is being settled into the disks: then it is us who write them.
  private func checkUntouched(_ disk: CatalogDisk, _ file: any StorageFile) throws(StandbyError) {
    guard !takesChanged, catalog.kept(point.reference) != nil, let left = disk.generation else { return }
    let isSettling = try storing { () throws(IOError) in try directory.contains(StandbyLayout.settlingFile) }
    if isSettling { return }
    if let change = try storing({ () throws(IOError) in try file.change(since: left) }) {
      throw .diverged(disk: disk.disk, page: nil, detail: "\(file.path): \(change)")
    }
  }

  /// It may be in use by the pass that runs, or by the VM that was started: it is only looked at.
  private func checkDevice(_ path: String, _ disk: CatalogDisk, _ member: DiskPoint) throws(StandbyError) {
    let opener: any DeviceOpening = devices?.opener ?? MachineDevices()
    let device = try Standby.opening(path) { () throws(IOError) in try opener.open(path, isWritable: false) }
    guard device.sizeBytes >= member.grid.sizeBytes else {
      throw .diverged(
        disk: disk.disk, page: nil,
        detail: "\(path) has \(device.sizeBytes) bytes, less than \(member.grid.sizeBytes)")
    }
  }
}
