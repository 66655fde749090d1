import ReplIO
import ReplModel

/// The first bytes of an extent's file, and the checks that all sparse kinds share.
struct ExtentHead {
  let file: any StorageFile
  /// For messages.
  let path: String
  let fileSizeBytes: Int64

  init(_ file: any StorageFile, path: String) throws(VMDKError) {
    self.file = file
    self.path = path
    do throws(IOError) {
      fileSizeBytes = try file.currentSizeBytes()
    } catch {
      throw VMDKError(reading: path, error)
    }
  }

  /// `count` is bounded by a limit of this module.
  func bytes(at offset: Int64, count: Int) throws(VMDKError) -> [UInt8] {
    guard offset >= 0, offset <= fileSizeBytes, Int64(count) <= fileSizeBytes - offset else {
      throw VMDKError(
        .truncatedHeader, path, "\(fileSizeBytes) bytes are less than a header: the file was cut short")
    }
    var bytes = [UInt8](repeating: 0, count: count)
    do throws(IOError) {
      try file.read(&bytes, at: offset)
    } catch {
      throw VMDKError(reading: path, error)
    }
    return bytes
  }

  func refuse(_ code: VMDKError.Code, sector: Int64 = 0, _ detail: String) -> VMDKError {
    VMDKError(code, path, .sector(sector), detail)
  }

  /// A header starts with what its extent line calls for.
  func checkMagic(_ bytes: [UInt8], _ magic: [UInt8], _ name: String) throws(VMDKError) {
    guard !bytes.starts(with: Array("kdmv".utf8)) else {
      throw refuse(
        .unfinishedFile, "the writer of this image has not finished it: run the conversion again")
    }
    guard bytes.starts(with: magic) else {
      let found = bytes.prefix(4).map { String($0, radix: 16) }.joined(separator: " ")
      throw refuse(
        .wrongMagic, "starts with \(found), which is no \(name) extent: the file or its descriptor is damaged"
      )
    }
  }

  func checkCapacity(_ sectors: Int64, extentSectors: Int64) throws(VMDKError) {
    guard sectors == extentSectors else {
      throw refuse(
        .capacityMismatch,
        "the extent has \(extentSectors) sectors, its header \(sectors): the image is damaged")
    }
  }

  /// The range of a table or region, inside the file.
  func range(
    _ what: String, start: UInt64, byteCount: UInt64, sector: Int64 = 0
  ) throws(VMDKError) -> SectorRange {
    guard start > 0, let range = SectorRange(start: start, byteCount: byteCount),
      byteCount <= UInt64(fileSizeBytes), range.offsetBytes <= fileSizeBytes - Int64(byteCount)
    else {
      throw refuse(
        .outsideFile, sector: sector,
        "\(what) at sector \(start) lies outside the file (\(fileSizeBytes / Limits.sectorBytes) sectors):"
          + " the image is damaged or cut short")
    }
    return range
  }

  /// What a kind of extent cannot be larger than, whatever it says.
  func checkDirectory(_ what: String, entries: UInt64, entryBytes: UInt64) throws(VMDKError) {
    guard entries <= Limits.directoryEntries, entries * entryBytes <= UInt64(fileSizeBytes) else {
      throw refuse(
        .directoryTooLarge,
        "\(what) of \(entries) entries is larger than the file (\(fileSizeBytes) bytes) or than"
          + " \(Limits.directoryEntries) entries: the header is damaged")
    }
  }
}

extension BlockReadable {
  /// Fills `bytes` from `offset`.
  func read(_ bytes: inout [UInt8], at offset: Int64) throws(IOError) {
    var failure: IOError?
    bytes.withUnsafeMutableBytes { buffer in
      do throws(IOError) { try read(into: buffer, at: offset) } catch { failure = error }
    }
    if let failure { throw failure }
  }

  /// Entries of a table or directory, `width` bytes each, least significant byte first.
  func entries(at offset: Int64, count: Int, width: Int) throws(IOError) -> [UInt64] {
    var bytes = [UInt8](repeating: 0, count: count * width)
    try read(&bytes, at: offset)
    return bytes.withUnsafeBytes { raw in
      (0..<count).map { index in
        width == 8
          ? UInt64(littleEndian: raw.loadUnaligned(fromByteOffset: index * 8, as: UInt64.self))
          : UInt64(UInt32(littleEndian: raw.loadUnaligned(fromByteOffset: index * 4, as: UInt32.self)))
      }
    }
  }
}
