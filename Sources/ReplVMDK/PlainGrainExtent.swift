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

  /// As far as the grains lie side by side.
  func origin(at offset: Int64) throws(IOError) -> LinkOrigin {
    let run = try walk.run(at: offset, limitBytes: sizeBytes - offset)
    switch GrainEntry.kind(run.entry) {
    case .absent: return LinkOrigin(kind: .absent, length: run.length)
    case .zero: return LinkOrigin(kind: .zero, length: run.length)
    case .data:
      guard let file = file as? DiskFile else { return LinkOrigin(kind: .elsewhere, length: run.length) }
      let start = run.entry * Limits.sectorBytes + offset % walk.shape.grainBytes
      return LinkOrigin(kind: .file(file, offset: start), length: run.length)
    }
  }

  func nextPresent(atOrAfter offset: Int64) throws(IOError) -> Int64? {
    try walk.nextPresent(atOrAfter: offset)
  }

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int64) throws(IOError) {
    try walk.read(from: file, into: buffer, at: offset)
  }
}
