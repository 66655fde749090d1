import ReplIO
import ReplModel

/// The delta of an ESXi snapshot (`vmfsSparse`).
final class COWDExtent: LinkExtent {
  let sizeBytes: Int64
  private let file: any StorageFile
  private let walk: GrainTableWalk

  private init(_ tables: COWDTables, _ file: any StorageFile, _ context: ExtentContext) {
    sizeBytes = tables.shape.sizeBytes
    self.file = file
    walk = GrainTableWalk(tables, context)
  }

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
      extent: COWDExtent(COWDTables(header, head, context), file, context),
      warnings: header.isMarkedInUse ? ["\(shown): the image is in use, or was when its host stopped"] : [],
      isMarkedInUse: header.isMarkedInUse)
  }

  func piece(at offset: Int64) throws(IOError) -> LinkPiece { try walk.piece(at: offset) }

  func nextPresent(atOrAfter offset: Int64) throws(IOError) -> Int64? {
    try walk.nextPresent(atOrAfter: offset)
  }

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int64) throws(IOError) {
    try walk.read(from: file, into: buffer, at: offset)
  }
}
