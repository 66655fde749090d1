/// The first sector of a hosted sparse extent (`KDMV`; VMware, Virtual Disk Format 5.0), decoded and checked.
///
/// | offset | size | field |
/// |---|---|---|
/// | 0 | 4 | `KDMV` |
/// | 4 | 4 | version |
/// | 8 | 4 | flags |
/// | 12 | 8 | capacity, sectors |
/// | 20 | 8 | grain size, sectors |
/// | 28, 36 | 8, 8 | embedded descriptor: first sector, sectors |
/// | 44 | 4 | entries per grain table |
/// | 48, 56 | 8, 8 | redundant and primary grain directory: first sector |
/// | 64 | 8 | sectors of metadata before the first grain |
/// | 72 | 1 | 1 while the disk is open, or was when the host stopped |
/// | 73 | 4 | `0A 20 0D 0A` |
/// | 77 | 2 | compression: 0 none, 1 deflate |
struct HostedSparseHeader: Hashable {
  static let byteCount = 512
  static let magic = Array("KDMV".utf8)

  /// Bits of `flags`; the low half may be ignored by who does not know them, the high half must not.
  private enum Flag {
    static let newlinesValid: UInt32 = 1 << 0
    static let redundantDirectory: UInt32 = 1 << 1
    static let zeroedGrains: UInt32 = 1 << 2
    static let compressed: UInt32 = 1 << 16
    static let markers: UInt32 = 1 << 17
    static let mustBeKnown: UInt32 = 0xFFFF_0000
  }

  private static let directoryAtEnd = UInt64.max

  let capacitySectors: Int64
  let grainSectors: Int64
  let entriesPerTable: Int64
  /// Nil when there is none: the extent belongs to a split disk.
  let descriptor: SectorRange?
  let directory: SectorRange
  let redundantDirectory: SectorRange?
  /// Sectors before this one hold metadata.
  let metadataSectors: Int64
  /// An entry of 1 means a grain of zeros.
  let hasZeroedGrains: Bool
  /// Open right now, or never closed.
  let isMarkedInUse: Bool

  var tableCount: Int64 { (grainCount + entriesPerTable - 1) / entriesPerTable }
  var grainCount: Int64 { (capacitySectors + grainSectors - 1) / grainSectors }

  /// The header itself, the embedded descriptor and the directories: no table and no grain may lie there.
  let ownRanges: [SectorRange]

  /// Decodes and checks `bytes`, the first 512 of the file.
  init(decoding bytes: [UInt8], fileSizeBytes: Int64, path: String) throws(VMDKError) {
    let fields = LittleEndian(bytes)
    let flags = fields.uint32(8)
    try Self.checkKind(fields, flags, path)
    let capacity = fields.uint64(12)
    let grain = fields.uint64(20)
    let entries = fields.uint32(44)
    try Self.checkShape(capacity: capacity, grain: grain, entries: entries, path)
    capacitySectors = Int64(capacity)
    grainSectors = Int64(grain)
    entriesPerTable = Int64(entries)
    let tables = Self.quotient(Self.quotient(capacity, grain), UInt64(entries))

    let file = FileBounds(sizeBytes: fileSizeBytes, path: path)
    descriptor = try file.descriptor(start: fields.uint64(28), count: fields.uint64(36))
    directory = try file.directory("the grain directory", start: fields.uint64(56), tables: tables)
    redundantDirectory =
      flags & Flag.redundantDirectory == 0
      ? nil : try file.directory("the redundant grain directory", start: fields.uint64(48), tables: tables)
    metadataSectors = try file.metadata(fields.uint64(64))
    hasZeroedGrains = flags & Flag.zeroedGrains != 0
    isMarkedInUse = fields.byte(72) != 0
    ownRanges = [SectorRange(start: 0, count: 1), descriptor, directory, redundantDirectory].compactMap { $0 }
  }

  private static func quotient(_ value: UInt64, _ divisor: UInt64) -> UInt64 {
    value / divisor + (value % divisor == 0 ? 0 : 1)
  }

  /// Whether this reader may understand the rest at all.
  private static func checkKind(_ fields: LittleEndian, _ flags: UInt32, _ path: String) throws(VMDKError) {
    func error(_ code: VMDKError.Code, _ detail: String) -> VMDKError {
      VMDKError(code, path, .sector(0), detail)
    }
    let version = fields.uint32(4)
    guard (1...3).contains(version) else {
      throw error(.unsupportedVersion, "version \(version) of the sparse format is not known (1 to 3 are)")
    }
    let newlines = (73..<77).map { fields.byte($0) }
    guard flags & Flag.newlinesValid == 0 || newlines == [0x0A, 0x20, 0x0D, 0x0A] else {
      throw error(
        .textModeDamage, "the newline test bytes are wrong: a copy in text mode has damaged the file")
    }
    let unknown = flags & Flag.mustBeKnown & ~(Flag.compressed | Flag.markers)
    guard unknown == 0 else {
      throw error(
        .unknownFlags, "flags \(String(flags, radix: 16)) hold bits that this reader must know and does not")
    }
    let compression = fields.uint16(77)
    let isCompressed = flags & Flag.compressed != 0
    guard compression <= 1, isCompressed == (compression == 1), isCompressed || flags & Flag.markers == 0
    else {
      throw error(
        .badCompression,
        "flags \(String(flags, radix: 16)) and compression \(compression) contradict each other: the header"
          + " is damaged"
      )
    }
    guard !isCompressed, fields.uint64(56) != directoryAtEnd else {
      throw error(
        .unsupportedCreateType,
        "streamOptimized: it is a compressed export, not a disk that a VM runs on: convert it to"
          + " monolithicFlat"
      )
    }
  }

  private static func checkShape(
    capacity: UInt64, grain: UInt64, entries: UInt32, _ path: String
  ) throws(VMDKError) {
    func error(_ code: VMDKError.Code, _ detail: String) -> VMDKError {
      VMDKError(code, path, .sector(0), detail)
    }
    guard capacity > 0, capacity <= UInt64(Limits.diskSectors) else {
      throw error(
        .badCapacity, "a capacity of \(capacity) sectors is not between 1 and 64 TiB: the header is damaged")
    }
    guard grain.nonzeroBitCount == 1, grain <= Limits.grainSectors else {
      throw error(
        .badGrainSize,
        "grains of \(grain) sectors are not a power of two up to \(Limits.grainSectors): the header is"
          + " damaged"
      )
    }
    guard entries.nonzeroBitCount == 1, Limits.tableEntries.contains(entries) else {
      throw error(
        .badTableSize, "\(entries) entries in a grain table are not 128, 256 or 512: the header is damaged")
    }
  }
}

/// Turns places that a header names into ranges that lie inside the file.
private struct FileBounds {
  let sizeBytes: Int64
  let path: String

  private var endSector: Int64 { sizeBytes / Limits.sectorBytes }

  private func outside(_ what: String, _ start: UInt64) -> VMDKError {
    VMDKError(
      .outsideFile, path, .sector(0),
      "\(what) at sector \(start) lies outside the file (\(endSector) sectors): the image is damaged or cut"
        + " short"
    )
  }

  func descriptor(start: UInt64, count: UInt64) throws(VMDKError) -> SectorRange? {
    if start == 0 { return nil }
    guard count > 0, let range = SectorRange(start: start, count: count), range.endBytes <= sizeBytes else {
      throw outside("the embedded descriptor", start)
    }
    guard range.endBytes - range.offsetBytes <= Limits.descriptorBytes else {
      throw VMDKError(
        .descriptorTooLarge, path, .sector(range.start),
        "\(count) sectors are no descriptor (at most \(Limits.descriptorBytes) bytes): the header is damaged")
    }
    return range
  }

  func directory(_ what: String, start: UInt64, tables: UInt64) throws(VMDKError) -> SectorRange {
    // `tables` is at most 2^37 (64 TiB in sectors), so four times it cannot overflow.
    guard tables * 4 <= UInt64(sizeBytes) else {
      throw VMDKError(
        .directoryTooLarge, path, .sector(0),
        "\(what) of \(tables) entries is larger than the file (\(sizeBytes) bytes): the header is damaged")
    }
    guard start > 0, let range = SectorRange(start: start, byteCount: tables * 4),
      range.offsetBytes + Int64(tables * 4) <= sizeBytes
    else {
      throw outside(what, start)
    }
    return range
  }

  func metadata(_ count: UInt64) throws(VMDKError) -> Int64 {
    guard count > 0, let range = SectorRange(start: 0, count: count), range.endBytes <= sizeBytes else {
      throw outside("the end of the metadata (overHead)", count)
    }
    return range.count
  }
}
