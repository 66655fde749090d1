/// The last three sectors of a stream-optimized extent whose grain directory follows the grains: the footer's
/// marker, the footer (a header with the real place of the directory), the end-of-stream marker.
///
/// A marker without data has 0 as its size at offset 8 and its type at offset 12: 0 end of stream, 1 grain
/// table, 2 grain directory, 3 footer; its first 8 bytes count the sectors that follow.
enum StreamOptimizedFooter {
  private static let footerType: UInt32 = 3
  private static let sectors: Int64 = 3

  /// Finds the footer, and checks it against the header.
  static func read(_ head: ExtentHead, header: HostedSparseHeader) throws(VMDKError) -> HostedSparseHeader {
    let size = head.fileSizeBytes
    let first = size / Limits.sectorBytes - sectors
    guard first > 0, size % Limits.sectorBytes == 0 else { throw missing(head, first) }
    let bytes = try head.bytes(
      at: first * Limits.sectorBytes, count: Int(sectors * Limits.sectorBytes))
    let sector = Int(Limits.sectorBytes)
    let marker = LittleEndian(Array(bytes[..<sector]))
    let end = LittleEndian(Array(bytes[(2 * sector)...]))
    guard marker.uint64(0) == 1, marker.uint32(8) == 0, marker.uint32(12) == footerType,
      end.uint64(0) == 0, end.uint32(8) == 0, end.uint32(12) == 0
    else {
      throw missing(head, first)
    }
    let footer = try HostedSparseHeader(
      decoding: Array(bytes[sector..<(2 * sector)]), fileSizeBytes: size, path: head.path,
      sector: first + 1)
    guard footer.shape == header.shape, footer.isCompressed == header.isCompressed else {
      throw head.refuse(
        .badFooter, sector: first + 1,
        "the footer has \(describe(footer)), the header \(describe(header)): the image is damaged")
    }
    return footer
  }

  private static func missing(_ head: ExtentHead, _ sector: Int64) -> VMDKError {
    head.refuse(
      .noFooter, sector: max(0, sector),
      "the header promises a footer at the end of the file, but there is none: the export or the copy was"
        + " interrupted: run it again")
  }

  private static func describe(_ header: HostedSparseHeader) -> String {
    "\(header.capacitySectors) sectors in grains of \(header.grainSectors), \(header.entriesPerTable) entries"
      + " a table\(header.isCompressed ? ", compressed" : "")"
  }
}
