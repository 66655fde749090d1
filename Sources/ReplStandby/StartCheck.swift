import ReplIO
import ReplModel

/// Looks whether a recovery point can be started, before anything is done for good.
struct StartCheck {
  let files: any StandbyFilesMaking
  let directory: any StorageDirectory
  let privateDirectory: any StorageDirectory
  let catalog: Catalog
  let point: RecoveryPoint

  func run() throws(StandbyError) {
    try checkDisks()
    // The files of a point that is not settled yet are checked when settling makes them.
    guard point == catalog.newest else { return }
    let members = point.disks.compactMap { catalog.disk($0.disk) }
    let request = StandbyFilesRequest(
      vm: catalog.vm, displayName: catalog.displayName, slug: catalog.slug, point: point, disks: members,
      sourceVMX: try Self.heldSource(.vmx, catalog, privateDirectory),
      sourceNVRAM: try Self.heldSource(.nvram, catalog, privateDirectory), isStartable: true)
    _ = try files.files(for: request).checked(besides: catalog.disks)
  }

  private func checkDisks() throws(StandbyError) {
    for member in point.disks {
      guard let disk = catalog.disk(member.disk) else {
        throw .catalogDamaged(
          path: directory.path,
          detail: "point \(point.reference) has disk \(member.disk), the catalog does not")
      }
      let path = "\(directory.path)/\(disk.flatFileName)"
      let size: Int64
      do throws(IOError) {
        // Only a plain file with one link can be opened.
        size = try directory.openFile(disk.flatFileName, .read).currentSizeBytes()
      } catch {
        guard error.isMissing else { throw StandbyError(error) }
        throw .diverged(disk: disk.disk, page: nil, detail: "\(path) is gone")
      }
      // A point that is not settled yet may make the disk larger.
      guard size == disk.grid.sizeBytes || size == member.grid.sizeBytes else {
        throw .diverged(
          disk: disk.disk, page: nil, detail: "\(path) has \(size) bytes, not \(member.grid.sizeBytes)")
      }
    }
  }

  /// The kept copy, when it is the newest point's; nil when the point has none.
  static func heldSource(
    _ file: SourceFile, _ catalog: Catalog, _ directory: any StorageDirectory
  ) throws(StandbyError) -> [UInt8]? {
    guard let hash = catalog.hash(of: file) else { return nil }
    guard let bytes = try readSource(file, directory) else {
      throw .damagedFile(
        file, detail: "the kept copy \(directory.path)/\(StandbyLayout.source(file)) is gone")
    }
    guard sourceHash(bytes) == hash else {
      throw .damagedFile(
        file, detail: "the kept copy \(directory.path)/\(StandbyLayout.source(file)) is damaged")
    }
    return bytes
  }

  /// The kept copy, whatever is in it.
  static func readSource(
    _ file: SourceFile, _ directory: any StorageDirectory
  ) throws(StandbyError) -> [UInt8]? {
    try storing { () throws(IOError) in
      let name = StandbyLayout.source(file)
      guard try directory.contains(name) else { return nil }
      return try directory.readFile(name, limitBytes: Limits.sourceFileBytes)
    }
  }
}
