import ReplIO

/// The delta of an ESXi snapshot in the space-efficient format (`seSparse`).
enum SESparseExtent {
  /// Opens the extent.
  /// - Parameters:
  ///   - path: for messages.
  ///   - extentSectors: what the extent line says.
  ///   - context: one for all extents of a disk.
  static func open(
    file: any StorageFile, path: String, extentSectors: Int64, context: ExtentContext = ExtentContext()
  ) throws(VMDKError) -> OpenedExtent {
    let head = try ExtentHead(file, path: path)
    let header = try SESparseHeader(head)
    try head.checkCapacity(header.shape.capacitySectors, extentSectors: extentSectors)
    let tables = SESparseTables(header, head, context)
    return OpenedExtent(extent: PlainGrainExtent(tables, file, context))
  }
}
