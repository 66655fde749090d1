/// The first four sectors of an ESXi snapshot's delta (`COWD`; VMware, Virtual Disk Format 5.0), decoded and
/// checked.
///
/// | offset | size | field |
/// |---|---|---|
/// | 0 | 4 | `COWD` |
/// | 4 | 4 | version, 1 |
/// | 8 | 4 | flags, 3 |
/// | 12 | 4 | capacity, sectors |
/// | 16 | 4 | grain size, sectors |
/// | 20 | 4 | grain directory: first sector, 4 |
/// | 24 | 4 | entries of the grain directory |
/// | 28 | 4 | next free sector |
/// | 1648 | 4 | not 0 while the disk is open, or was when the host stopped |
///
/// What lies between (geometry or the parent's name, generations, a description) says nothing about the data.
struct COWDHeader: Hashable {
  static let byteCount = 2048
  static let magic = Array("COWD".utf8)
  private static let entriesPerTable: Int64 = 4096
  private static let knownFlags: UInt32 = 3

  let shape: GrainShape
  let directory: SectorRange
  /// Open right now, or never closed.
  let isMarkedInUse: Bool

  /// The header and the directory: no table and no grain may lie there.
  let ownRanges: [SectorRange]
  /// Sectors of the header.
  let metadataSectors = Int64(byteCount) / Limits.sectorBytes

  init(_ head: ExtentHead) throws(VMDKError) {
    let bytes = try head.bytes(at: 0, count: Self.byteCount)
    try head.checkMagic(bytes, Self.magic, "COWD")
    let fields = LittleEndian(bytes)
    let (version, flags) = (fields.uint32(4), fields.uint32(8))
    guard version == 1 else {
      throw head.refuse(.unsupportedVersion, "version \(version) of the COWD format is not known (1 is)")
    }
    guard flags & ~Self.knownFlags == 0 else {
      throw head.refuse(
        .unknownFlags, "flags \(String(flags, radix: 16)) are not the 3 that every known writer sets")
    }
    shape = try Self.shape(head, capacity: fields.uint32(12), grain: fields.uint32(16))
    directory = try Self.directory(
      head, start: fields.uint32(20), entries: fields.uint32(24), tables: shape.tableCount)
    isMarkedInUse = fields.uint32(1648) != 0
    ownRanges = [SectorRange(start: 0, byteCount: UInt64(Self.byteCount)), directory].compactMap { $0 }
  }

  private static func shape(
    _ head: ExtentHead, capacity: UInt32, grain: UInt32
  ) throws(VMDKError) -> GrainShape {
    guard capacity > 0 else {
      throw head.refuse(.badCapacity, "a capacity of 0 sectors: the header is damaged")
    }
    guard grain.nonzeroBitCount == 1, grain <= Limits.cowdGrainSectors else {
      throw head.refuse(
        .badGrainSize,
        "grains of \(grain) sectors are not a power of two up to \(Limits.cowdGrainSectors): the header is"
          + " damaged")
    }
    return GrainShape(
      capacitySectors: Int64(capacity), grainSectors: Int64(grain), entriesPerTable: entriesPerTable)
  }

  private static func directory(
    _ head: ExtentHead, start: UInt32, entries: UInt32, tables: Int64
  ) throws(VMDKError) -> SectorRange {
    guard Int64(entries) == tables else {
      throw head.refuse(
        .badDirectory,
        "the grain directory has \(entries) entries, the disk needs \(tables): the header is damaged")
    }
    let first = Int64(byteCount) / Limits.sectorBytes
    guard Int64(start) >= first else {
      throw head.refuse(
        .badDirectory,
        "the grain directory at sector \(start) lies inside the header (\(first) sectors): the header is"
          + " damaged")
    }
    try head.checkDirectory("the grain directory", entries: UInt64(entries), entryBytes: 4)
    return try head.range("the grain directory", start: UInt64(start), byteCount: UInt64(entries) * 4)
  }
}
