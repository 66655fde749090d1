/// The two headers of a space-efficient sparse extent (`seSparse`), decoded and checked. VMware has published
/// no specification; this is what QEMU's `block/vmdk.c` and other readers agree on.
///
/// The constant header, sector 0; everything is 64 bits wide, places are sectors:
///
/// | offset | field |
/// |---|---|
/// | 0, 8 | `0xcafebabe`, version `0x200000001` |
/// | 16, 24, 32 | capacity, grain size (8), grain table size (64) |
/// | 40, 48-79 | flags, reserved: 0 |
/// | 80, 96, 112, 128 | volatile header, journal header, journal, grain directory: sector, count |
/// | 144, 160, 176, 192 | grain tables, free bitmap, back map, grains: the same |
/// | 208-511 | 0 |
///
/// The volatile header: `0xcafecafe` at 0, what is free at 8 and 16, at 24 whether the journal must be
/// replayed, 0 from 32 on.
struct SESparseHeader: Hashable {
  static let byteCount = 512
  static let magic: [UInt8] = [0xBE, 0xBA, 0xFE, 0xCA, 0, 0, 0, 0]
  private static let version: UInt64 = 0x2_0000_0001
  private static let volatileMagic: UInt64 = 0xCAFE_CAFE
  private static let grainSectors: UInt64 = 8
  private static let tableSectors: UInt64 = 64
  static let entriesPerTable: Int64 = 4096

  let shape: GrainShape
  let directory: SectorRange
  /// First sector of the first table.
  let tablesSector: Int64
  /// Tables that there is room for.
  let tableRoom: Int64
  /// First sector of the first grain.
  let grainsSector: Int64

  /// Everything that is not a grain.
  let ownRanges: [SectorRange]

  init(_ head: ExtentHead) throws(VMDKError) {
    let bytes = try head.bytes(at: 0, count: Self.byteCount)
    try head.checkMagic(bytes, Self.magic, "seSparse")
    let fields = LittleEndian(bytes)
    try Self.checkKind(fields, head)
    let capacity = fields.uint64(16)
    guard capacity > 0, capacity <= UInt64(Limits.diskSectors) else {
      throw head.refuse(
        .badCapacity, "a capacity of \(capacity) sectors is not between 1 and 64 TiB: the header is damaged")
    }
    shape = GrainShape(
      capacitySectors: Int64(capacity), grainSectors: Int64(Self.grainSectors),
      entriesPerTable: Self.entriesPerTable)
    directory = try Self.directory(fields, head, tables: UInt64(shape.tableCount))
    let tables = try Self.region("the grain tables", fields, 144, head)
    tablesSector = tables.start
    tableRoom = tables.count / Int64(Self.tableSectors)
    let grains = try Self.region("the grains", fields, 192, head)
    grainsSector = grains.start
    let volatile = try Self.region("the volatile header", fields, 80, head)
    try Self.checkVolatile(volatile, head)
    var own = [SectorRange(start: 0, count: 1), volatile, directory, tables].compactMap { $0 }
    for (name, offset) in Self.otherRegions where fields.uint64(offset + 8) > 0 {
      own.append(try Self.region(name, fields, offset, head))
    }
    ownRanges = own
  }

  private static let otherRegions = [
    ("the journal header", 96), ("the journal", 112), ("the free bitmap", 160), ("the back map", 176),
  ]

  private static func checkKind(_ fields: LittleEndian, _ head: ExtentHead) throws(VMDKError) {
    let version = fields.uint64(8)
    guard version == Self.version else {
      throw head.refuse(
        .unsupportedVersion,
        "version \(String(version, radix: 16)) of the seSparse format is not known (200000001, 2.1, is)")
    }
    let (grain, table) = (fields.uint64(24), fields.uint64(32))
    guard grain == grainSectors else {
      throw head.refuse(.badGrainSize, "grains of \(grain) sectors are not known (\(grainSectors) are)")
    }
    guard table == tableSectors else {
      throw head.refuse(
        .badTableSize, "grain tables of \(table) sectors are not known (\(tableSectors) are)")
    }
    let flags = fields.uint64(40)
    guard flags == 0 else {
      throw head.refuse(.unknownFlags, "flags \(String(flags, radix: 16)) are not known (0 is)")
    }
    try checkZero(fields, 48..<80, head, sector: 0)
    try checkZero(fields, 208..<byteCount, head, sector: 0)
  }

  private static func checkZero(
    _ fields: LittleEndian, _ range: Range<Int>, _ head: ExtentHead, sector: Int64
  ) throws(VMDKError) {
    guard let place = range.first(where: { fields.byte($0) != 0 }) else { return }
    throw head.refuse(
      .reservedNotZero, sector: sector,
      "byte \(place) of the header is reserved and not 0: a newer writer, or damage")
  }

  private static func checkVolatile(_ range: SectorRange, _ head: ExtentHead) throws(VMDKError) {
    let fields = LittleEndian(try head.bytes(at: range.offsetBytes, count: byteCount))
    guard fields.uint64(0) == volatileMagic else {
      throw head.refuse(
        .wrongMagic, sector: range.start,
        "the volatile header starts with \(String(fields.uint64(0), radix: 16)), not cafecafe: the image is"
          + " damaged")
    }
    guard fields.uint64(24) == 0 else {
      throw head.refuse(
        .journalNotReplayed, sector: range.start,
        "the journal must be replayed first: the host stopped while it wrote: start the VM, or delete"
          + " (consolidate) the snapshot")
    }
    try checkZero(fields, 32..<byteCount, head, sector: range.start)
  }

  // MARK: Places

  private static func directory(
    _ fields: LittleEndian, _ head: ExtentHead, tables: UInt64
  ) throws(VMDKError) -> SectorRange {
    try head.checkDirectory("the grain directory", entries: tables, entryBytes: 8)
    let room = try region("the grain directory", fields, 128, head)
    let range = try head.range("the grain directory", start: fields.uint64(128), byteCount: tables * 8)
    guard range.count <= room.count else {
      throw head.refuse(
        .badDirectory,
        "the grain directory has \(room.count) sectors, the disk needs \(range.count): the header is damaged")
    }
    return range
  }

  /// Only where it starts must lie inside the file: what follows is checked entry by entry.
  private static func region(
    _ what: String, _ fields: LittleEndian, _ offset: Int, _ head: ExtentHead
  ) throws(VMDKError) -> SectorRange {
    let (start, count) = (fields.uint64(offset), fields.uint64(offset + 8))
    guard start > 0, let range = SectorRange(start: start, count: count),
      range.offsetBytes <= head.fileSizeBytes
    else {
      throw head.refuse(
        .outsideFile,
        "\(what) at sector \(start) lies outside the file (\(head.fileSizeBytes / Limits.sectorBytes)"
          + " sectors): the image is damaged or cut short")
    }
    return range
  }
}
