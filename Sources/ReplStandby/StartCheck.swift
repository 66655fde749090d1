import ReplIO
import ReplModel

/// Looks whether a recovery point can be started, before anything is done for good.
struct StartCheck {
  let files: any StandbyFilesMaking
  let home: StandbyHome
  let catalog: Catalog
  let point: RecoveryPoint
  /// A committed point that is not in the catalog yet: it may be in the disks, or in part.
  var settling: RecoveryPoint?
  /// Also a disk that somebody else wrote: its size must be right all the same.
  var takesChanged = false
  /// Where disks may lie on devices.
  let devices: StandbyDevices?

  private var directory: any StorageDirectory { home.directory }

  func run() throws(StandbyError) {
    try StandbyHolders(directory: directory, fileNames: catalog.heldFileNames).check()
    try checkDisks()
    // The files of a point that is not settled yet are checked when settling makes them.
    guard let kept = catalog.kept(point.reference) else { return }
    try checkWay()
    var held: [SourceFile: [UInt8]] = [:]
    for file in SourceFile.allCases {
      if let hash = kept.hash(of: file) { held[file] = try home.sources.require(hash, file) }
    }
    let request = StandbyFilesRequest(
      vm: catalog.vm, displayName: catalog.displayName, slug: catalog.slug, point: point,
      disks: catalog.disks(of: kept), sourceVMX: held[.vmx], sourceNVRAM: held[.nvram], isStartable: true)
    _ = try files.files(for: request).checked(besides: catalog.disks)
  }

  /// The undo files that lead to an older point are there. They are read to their seals before a disk is
  /// written.
  private func checkWay() throws(StandbyError) {
    guard point.reference != catalog.newest?.reference else { return }
    let steps = try UndoFile.references(in: home.points).filter { $0 >= point.reference }
    guard steps.first == point.reference else {
      throw .pointLost(
        point.reference,
        detail: "\(home.points.path)/\(StandbyLayout.undo(backTo: point.reference)) is gone")
    }
    for step in steps { _ = try UndoFile.open(backTo: step, in: home.points) }
  }

  /// The disks of the point, and those that going there writes.
  private func members() -> [DiskPoint] {
    guard catalog.kept(point.reference) != nil, let held = catalog.heldPoint?.point else {
      return point.disks
    }
    return point.disks + held.disks.filter { point.disk($0.disk) == nil }
  }

  private func checkDisks() throws(StandbyError) {
    for member in members() {
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
      let sizes = sizes(of: disk)
      guard sizes.contains(size) else {
        let expected = sizes.sorted().map { "\($0)" }.joined(separator: " or ")
        throw .diverged(
          disk: disk.disk, page: nil, detail: "\(path) has \(size) bytes, not \(expected)")
      }
      try StandbyHolders.checkUnlocked(file)
      try checkUntouched(disk, file)
    }
  }

  /// Those that a disk may have: settling may make it larger, and on the way to another point it may have
  /// that of any.
  private func sizes(of disk: CatalogDisk) -> Set<Int64> {
    var points = settling.map { [$0] } ?? []
    if catalog.fence != nil { points += catalog.points }
    let sizes = points.compactMap { $0.disk(disk.disk)?.grid.sizeBytes }
    return Set(sizes + [disk.grid.sizeBytes])
  }

  /// Not while a point is being brought into the disks: then it is us who write them.
  private func checkUntouched(_ disk: CatalogDisk, _ file: any StorageFile) throws(StandbyError) {
    guard !takesChanged, settling == nil, let left = disk.generation else { return }
    let isBetween = try storing { () throws(IOError) in try directory.contains(StandbyLayout.settlingFile) }
    if isBetween { return }
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
