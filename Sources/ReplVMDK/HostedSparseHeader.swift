import ReplIO

/// The first sector of a hosted sparse extent (`KDMV`; VMware, Virtual Disk Format 5.0), or the footer of a
/// stream-optimized one, decoded and checked.
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
  /// Nil when the footer says where it is.
  let directory: SectorRange?
  let redundantDirectory: SectorRange?
  /// Sectors before this one hold metadata.
  let metadataSectors: Int64
  /// An entry of 1 means a grain of zeros.
  let hasZeroedGrains: Bool
  /// Grains are packed, each behind a marker.
  let isCompressed: Bool
  /// Open right now, or never closed.
  let isMarkedInUse: Bool
  /// One of two directories is not where the header says.
  let warning: String?

  var shape: GrainShape {
    GrainShape(
      capacitySectors: capacitySectors, grainSectors: grainSectors, entriesPerTable: entriesPerTable)
  }
  var tableCount: Int64 { shape.tableCount }
  var grainCount: Int64 { shape.grainCount }
  var directoryIsAtEnd: Bool { directory == nil }

  /// The header itself, the embedded descriptor and the directories: no table and no grain may lie there.
  let ownRanges: [SectorRange]

  /// Reads the first sector of `file`.
  static func read(_ file: any StorageFile, path: String) throws(VMDKError) -> HostedSparseHeader {
    let head = try ExtentHead(file, path: path)
    return try HostedSparseHeader(
      decoding: head.bytes(at: 0, count: byteCount), fileSizeBytes: head.fileSizeBytes, path: path)
  }

  /// Decodes and checks `bytes`: the first 512 of the file, or the footer at `sector`.
  init(decoding bytes: [UInt8], fileSizeBytes: Int64, path: String, sector: Int64 = 0) throws(VMDKError) {
    let check = HostedSparseCheck(
      fields: LittleEndian(bytes), fileSizeBytes: fileSizeBytes, path: path, sector: sector)
    try check.magic(bytes)
    let flags = check.fields.uint32(8)
    isCompressed = flags & Flag.compressed != 0
    try check.kind(
      newlinesValid: flags & Flag.newlinesValid != 0, hasMarkers: flags & Flag.markers != 0,
      isCompressed: isCompressed, unknown: flags & Flag.mustBeKnown & ~(Flag.compressed | Flag.markers))
    let shape = try check.shape(isCompressed: isCompressed)
    capacitySectors = shape.capacitySectors
    grainSectors = shape.grainSectors
    entriesPerTable = shape.entriesPerTable
    descriptor = try check.descriptor()
    let gd = check.fields.uint64(56)
    if gd == Self.directoryAtEnd {
      (directory, redundantDirectory, warning) = (nil, nil, nil)
      try check.directoryAtEnd(isCompressed: isCompressed)
    } else {
      let found = try check.directories(
        gd, redundant: flags & Flag.redundantDirectory != 0, tables: shape.tableCount)
      (directory, redundantDirectory, warning) = (found.primary, found.redundant, found.warning)
    }
    metadataSectors = try check.metadata()
    hasZeroedGrains = flags & Flag.zeroedGrains != 0
    isMarkedInUse = check.fields.byte(72) != 0
    ownRanges = [SectorRange(start: 0, count: 1), descriptor, directory, redundantDirectory].compactMap { $0 }
  }
}
