import ReplIO

/// The grain tables of a COWD extent: 4,096 entries each, 0 for "the parent's bytes", made when first needed
/// and so anywhere between the grains. There is no entry for zeros: a grain of zeros lies in the file.
final class COWDTables: GrainTableSource {
  let shape: GrainShape
  private let file: any StorageFile
  private let check: GrainTableCheck
  private let directory: GrainDirectory
  private let claims: GrainTableClaims

  init(_ header: COWDHeader, _ head: ExtentHead, _ context: ExtentContext) {
    shape = header.shape
    file = head.file
    check = GrainTableCheck(
      shape: shape, fileSizeBytes: head.fileSizeBytes, path: head.file.path,
      metadataSectors: header.metadataSectors, ownRanges: header.ownRanges)
    claims = GrainTableClaims(shape: shape, fileSizeBytes: head.fileSizeBytes, context)
    let blocks = GrainDirectoryCheck(
      fileSizeBytes: head.fileSizeBytes, path: head.file.path, tableBytes: shape.entriesPerTable * 4,
      ownRanges: header.ownRanges, directoryOffsetBytes: header.directory.offsetBytes, entryBytes: 4)
    directory = GrainDirectory(
      head.file, at: header.directory.offsetBytes, entryBytes: 4, tableCount: shape.tableCount, context
    ) { raw, first throws(IOError) in
      let block = raw.map { Int64($0) }
      try blocks.check(block, firstTable: first)
      return block
    }
  }

  func nextTable(atOrAfter index: Int64) throws(IOError) -> Int64? { try directory.next(atOrAfter: index) }

  func loadTable(_ index: Int64) throws(IOError) -> [Int64] {
    let sector = try directory.entry(index)
    guard sector > 0,
      let place = SectorRange(start: UInt64(sector), byteCount: UInt64(shape.entriesPerTable) * 4)
    else {
      return []
    }
    let raw = try file.entries(at: place.offsetBytes, count: shape.entryCount(ofTable: index), width: 4)
    let entries = raw.map { Int64($0) }
    try check.check(entries, table: place, index, entryBytes: 4)
    if let conflict = claims.claim(table: index, at: place, entries: entries) {
      throw check.claimed(conflict, entries, table: place, index, entryBytes: 4)
    }
    return entries
  }
}
