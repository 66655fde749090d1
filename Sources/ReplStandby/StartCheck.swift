import ReplIO
import ReplModel

/// Looks whether a recovery point can be started, before anything is done for good.
struct StartCheck {
  let files: any StandbyFilesMaking
  let directory: any StorageDirectory
  let sources: SourceFiles
  let catalog: Catalog
  let point: RecoveryPoint

  func run() throws(StandbyError) {
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
}
