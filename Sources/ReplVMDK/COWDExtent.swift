import ReplIO
import ReplModel

/// The delta of an ESXi snapshot (`vmfsSparse`).
enum COWDExtent {
  /// Opens the extent.
  /// - Parameters:
  ///   - path: for messages.
  ///   - extentSectors: what the extent line says.
  ///   - context: one for all extents of a disk.
  static func open(
    file: any StorageFile, path: String, extentSectors: Int64, context: ExtentContext = ExtentContext()
  ) throws(VMDKError) -> OpenedExtent {
    let head = try ExtentHead(file, path: path)
    let header = try COWDHeader(head)
    try head.checkCapacity(header.shape.capacitySectors, extentSectors: extentSectors)
    let shown = SafeText.printable(path)
    return OpenedExtent(
      extent: PlainGrainExtent(COWDTables(header, head, context), file, context),
      warnings: header.isMarkedInUse ? ["\(shown): the image is in use, or was when its host stopped"] : [],
      isMarkedInUse: header.isMarkedInUse)
  }
}
