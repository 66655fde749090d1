import ReplIO

/// The grain tables of a seSparse extent: 4,096 entries of 64 bits each, used in any order.
///
/// A directory entry is 0, or `0x10000000` in its upper half and the table's number in its lower one. The
/// first digit of a table's entry is its kind: 0 the parent's bytes (the whole entry is 0), 1 unmapped by the
/// guest and 2 zeroed (zeros both), 3 a grain, whose number stands there rotated by 12 bits.
final class SESparseTables: GrainTableSource {
  let shape: GrainShape
  private let header: SESparseHeader
  private let file: any StorageFile
  private let check: GrainTableCheck
  private let directory: GrainDirectory
  private let claims: GrainTableClaims

  private static let tableBytes: Int64 = SESparseHeader.entriesPerTable * 8

  init(_ header: SESparseHeader, _ head: ExtentHead, _ context: ExtentContext) {
    shape = header.shape
    self.header = header
    file = head.file
    check = GrainTableCheck(
      shape: shape, fileSizeBytes: head.fileSizeBytes, path: head.file.path, metadataSectors: 0,
      ownRanges: header.ownRanges)
    claims = GrainTableClaims(shape: shape, fileSizeBytes: head.fileSizeBytes, context)
    // Tables lie in their own region; only another one of the header's must not lie over it.
    let blocks = GrainDirectoryCheck(
      fileSizeBytes: head.fileSizeBytes, path: head.file.path, tableBytes: Self.tableBytes,
      ownRanges: [header.directory], directoryOffsetBytes: header.directory.offsetBytes, entryBytes: 8)
    directory = GrainDirectory(
      head.file, at: header.directory.offsetBytes, entryBytes: 8, tableCount: shape.tableCount, context
    ) { raw, first throws(IOError) in
      let block = try Self.sectors(raw, first, header, blocks)
      try blocks.check(block, firstTable: first)
      return block
    }
  }

  private static func sectors(
    _ raw: [UInt64], _ first: Int64, _ header: SESparseHeader, _ check: GrainDirectoryCheck
  ) throws(IOError) -> [Int64] {
    var block = [Int64](repeating: 0, count: raw.count)
    for (position, entry) in raw.enumerated() where entry != 0 {
      let number = Int64(entry & 0xFFFF_FFFF)
      guard entry >> 32 == 0x1000_0000, number < header.tableRoom else {
        throw check.damaged(
          header.tablesSector, first + Int64(position),
          "has the entry \(String(entry, radix: 16)), which stands for no table (\(header.tableRoom) fit)")
      }
      block[position] = header.tablesSector + number * (tableBytes / Limits.sectorBytes)
    }
    return block
  }

  func nextTable(atOrAfter index: Int64) throws(IOError) -> Int64? { try directory.next(atOrAfter: index) }

  func loadTable(_ index: Int64) throws(IOError) -> [Int64] {
    let sector = try directory.entry(index)
    guard sector > 0, let place = SectorRange(start: UInt64(sector), byteCount: UInt64(Self.tableBytes))
    else {
      return []
    }
    let raw = try file.entries(at: place.offsetBytes, count: shape.entryCount(ofTable: index), width: 8)
    var entries = [Int64](repeating: GrainEntry.absent, count: raw.count)
    for (position, entry) in raw.enumerated() where entry != 0 {
      entries[position] = try decode(entry, place, position, index)
    }
    try check.check(entries, table: place, index, entryBytes: 8)
    if let conflict = claims.claim(table: index, at: nil, entries: entries) {
      throw check.claimed(conflict, entries, table: place, index, entryBytes: 8)
    }
    return entries
  }

  private func decode(
    _ entry: UInt64, _ table: SectorRange, _ position: Int, _ index: Int64
  ) throws(IOError) -> Int64 {
    switch entry >> 60 {
    case 1, 2: return GrainEntry.zero
    case 3:
      let number = (entry & 0x0000_FFFF_FFFF_FFFF) << 12 | (entry >> 48) & 0xFFF
      let (offset, overflow) = number.multipliedReportingOverflow(by: UInt64(shape.grainSectors))
      let sector = offset &+ UInt64(header.grainsSector)
      // Larger than any file: the check says so, in terms of the grain.
      return overflow || sector > UInt64(Int64.max) ? Int64.max : Int64(sector)
    default:
      let fault = GrainTableFault(
        sector: header.grainsSector,
        what: "has the entry \(String(entry, radix: 16)), which is of no known kind")
      throw check.damaged(
        fault, table, position, 8, grain: index * shape.entriesPerTable + Int64(position))
    }
  }
}
