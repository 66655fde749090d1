/// The checks behind `HostedSparseHeader`, in the order in which they are made.
struct HostedSparseCheck {
  let fields: LittleEndian
  let fileSizeBytes: Int64
  let path: String
  /// Where the header is.
  let sector: Int64

  private func refuse(_ code: VMDKError.Code, _ detail: String) -> VMDKError {
    VMDKError(code, path, .sector(sector), detail)
  }

  func magic(_ bytes: [UInt8]) throws(VMDKError) {
    guard !bytes.starts(with: Array("kdmv".utf8)) else {
      throw refuse(
        .unfinishedFile, "the writer of this image has not finished it: run the conversion again")
    }
    guard bytes.count == HostedSparseHeader.byteCount, bytes.starts(with: HostedSparseHeader.magic) else {
      throw refuse(
        .wrongMagic, "does not start with KDMV: this is no hosted sparse extent, or it is damaged")
    }
  }

  /// Whether this reader may understand the rest at all.
  func kind(
    newlinesValid: Bool, hasMarkers: Bool, isCompressed: Bool, unknown: UInt32
  ) throws(VMDKError) {
    let version = fields.uint32(4)
    guard (1...3).contains(version) else {
      throw refuse(
        .unsupportedVersion, "version \(version) of the sparse format is not known (1 to 3 are)")
    }
    let newlines = (73..<77).map { fields.byte($0) }
    guard !newlinesValid || newlines == [0x0A, 0x20, 0x0D, 0x0A] else {
      throw refuse(
        .textModeDamage, "the newline test bytes are wrong: a copy in text mode has damaged the file")
    }
    let flags = String(fields.uint32(8), radix: 16)
    guard unknown == 0 else {
      throw refuse(.unknownFlags, "flags \(flags) hold bits that this reader must know and does not")
    }
    let compression = fields.uint16(77)
    guard compression <= 1, isCompressed == (compression == 1), isCompressed == hasMarkers else {
      throw refuse(
        .badCompression,
        "flags \(flags) and compression \(compression) contradict each other: the header is damaged")
    }
  }

  func shape(isCompressed: Bool) throws(VMDKError) -> GrainShape {
    let (capacity, grain, entries) = (fields.uint64(12), fields.uint64(20), fields.uint32(44))
    guard capacity > 0, capacity <= UInt64(Limits.diskSectors) else {
      throw refuse(
        .badCapacity, "a capacity of \(capacity) sectors is not between 1 and 64 TiB: the header is damaged")
    }
    let limit = isCompressed ? Limits.packedGrainSectors : Limits.grainSectors
    guard grain.nonzeroBitCount == 1, grain <= limit else {
      throw refuse(
        .badGrainSize,
        "grains of \(grain) sectors are not a power of two up to \(limit): the header is damaged")
    }
    guard entries.nonzeroBitCount == 1, Limits.tableEntries.contains(entries) else {
      throw refuse(
        .badTableSize, "\(entries) entries in a grain table are not 128, 256 or 512: the header is damaged")
    }
    return GrainShape(
      capacitySectors: Int64(capacity), grainSectors: Int64(grain), entriesPerTable: Int64(entries))
  }

  // MARK: Places

  private func outside(_ what: String, _ start: UInt64) -> VMDKError {
    refuse(
      .outsideFile,
      "\(what) at sector \(start) lies outside the file (\(fileSizeBytes / Limits.sectorBytes) sectors): the"
        + " image is damaged or cut short")
  }

  func descriptor() throws(VMDKError) -> SectorRange? {
    let (start, count) = (fields.uint64(28), fields.uint64(36))
    if start == 0 { return nil }
    guard count > 0, let range = SectorRange(start: start, count: count), range.endBytes <= fileSizeBytes
    else {
      throw outside("the embedded descriptor", start)
    }
    guard range.endBytes - range.offsetBytes <= Limits.descriptorBytes else {
      throw VMDKError(
        .descriptorTooLarge, path, .sector(range.start),
        "\(count) sectors are no descriptor (at most \(Limits.descriptorBytes) bytes): the header is damaged")
    }
    return range
  }

  func directoryAtEnd(isCompressed: Bool) throws(VMDKError) {
    guard isCompressed else {
      throw refuse(
        .badDirectory,
        "the grain directory is said to follow the grains, which only compressed images have: the header is"
          + " damaged")
    }
    guard sector == 0 else {
      throw refuse(
        .badFooter, "the footer says that the grain directory follows, but nothing does: the image is damaged"
      )
    }
  }

  struct Directories {
    let primary: SectorRange
    var redundant: SectorRange?
    var warning: String?
  }

  /// One of two directories may be lost.
  func directories(_ start: UInt64, redundant: Bool, tables: Int64) throws(VMDKError) -> Directories {
    guard redundant else {
      return Directories(primary: try directory("the grain directory", start, UInt64(tables)))
    }
    let copy: SectorRange
    let name = "the redundant grain directory"
    do {
      copy = try directory(name, fields.uint64(48), UInt64(tables))
    } catch {
      return Directories(
        primary: try directory("the grain directory", start, UInt64(tables)),
        warning: "\(error): the primary one is used; repair the disk (vmware-vdiskmanager -R)")
    }
    do {
      return Directories(
        primary: try directory("the grain directory", start, UInt64(tables)), redundant: copy)
    } catch {
      return Directories(
        primary: copy, warning: "\(error): \(name) is used; repair the disk (vmware-vdiskmanager -R)")
    }
  }

  private func directory(
    _ what: String, _ start: UInt64, _ tables: UInt64
  ) throws(VMDKError) -> SectorRange {
    // `tables` is at most 2^37 (64 TiB in sectors), so four times it cannot overflow.
    guard tables <= Limits.directoryEntries, tables * 4 <= UInt64(fileSizeBytes) else {
      throw refuse(
        .directoryTooLarge,
        "\(what) of \(tables) entries is larger than the file (\(fileSizeBytes) bytes) or than"
          + " \(Limits.directoryEntries) entries: the header is damaged")
    }
    guard start > 0, let range = SectorRange(start: start, byteCount: tables * 4),
      range.offsetBytes <= fileSizeBytes - Int64(tables * 4)
    else {
      throw outside(what, start)
    }
    return range
  }

  func metadata() throws(VMDKError) -> Int64 {
    let count = fields.uint64(64)
    guard count > 0, let range = SectorRange(start: 0, count: count), range.endBytes <= fileSizeBytes else {
      throw outside("the end of the metadata (overHead)", count)
    }
    return range.count
  }
}
