import ReplIO

/// A sparse extent whose grains lie in the file as they are, whatever its tables look like.
final class PlainGrainExtent: LinkExtent {
  let sizeBytes: Int64
  private let file: any StorageFile
  private let walk: GrainTableWalk

  init(_ tables: any GrainTableSource, _ file: any StorageFile, _ context: ExtentContext) {
    sizeBytes = tables.shape.sizeBytes
    self.file = file
    walk = GrainTableWalk(tables, context)
  }

  func piece(at offset: Int64) throws(IOError) -> LinkPiece { try walk.piece(at: offset) }

  func nextPresent(atOrAfter offset: Int64) throws(IOError) -> Int64? {
    try walk.nextPresent(atOrAfter: offset)
  }

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int64) throws(IOError) {
    try walk.read(from: file, into: buffer, at: offset)
  }
}
