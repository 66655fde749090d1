/// The start of a Zstandard frame (RFC 8878, section 3.1.1), as far as it must be checked before the
/// library sees it.
///
/// The library's one-call decoder does not look at the window that a frame declares, and it decodes several
/// frames, and frames without a size, in one go. Here a block is one frame that says its size.
struct ZstdFrameHeader: Equatable {
  let windowBytes: UInt64
  let contentBytes: UInt64

  private static let magic: UInt64 = 0xFD2F_B528

  /// Reads magic number, descriptor, window and content size.
  init(_ bytes: UnsafeRawBufferPointer) throws(CompressionError) {
    guard try Self.number(bytes, at: 0, width: 4) == Self.magic else {
      throw CompressionError(.malformed, .zstd, "does not start with a frame's magic number")
    }
    let descriptor = UInt8(try Self.number(bytes, at: 4, width: 1))
    // Bit 3 is reserved; bits 0-1 say how wide the dictionary's ID is.
    guard descriptor & 0b1000 == 0 else {
      throw CompressionError(.malformed, .zstd, "a reserved bit is set in its header")
    }
    guard descriptor & 0b11 == 0 else {
      throw CompressionError(.malformed, .zstd, "wants a dictionary; none is ever used")
    }
    let isSingleSegment = descriptor & 0b10_0000 != 0
    let window = isSingleSegment ? nil : try Self.window(UInt8(Self.number(bytes, at: 5, width: 1)))
    let offset = isSingleSegment ? 5 : 6
    contentBytes = try Self.contentSize(
      bytes, at: offset, flag: descriptor >> 6, isSingleSegment: isSingleSegment)
    windowBytes = window ?? contentBytes
  }

  private static func window(_ byte: UInt8) throws(CompressionError) -> UInt64 {
    let base = UInt64(1) << (10 + UInt64(byte >> 3))
    return base + base / 8 * UInt64(byte & 7)
  }

  private static func contentSize(
    _ bytes: UnsafeRawBufferPointer, at offset: Int, flag: UInt8, isSingleSegment: Bool
  ) throws(CompressionError) -> UInt64 {
    switch flag {
    case 0 where isSingleSegment: return try number(bytes, at: offset, width: 1)
    case 0: throw CompressionError(.malformed, .zstd, "does not declare its size")
    case 1: return try number(bytes, at: offset, width: 2) + 256
    case 2: return try number(bytes, at: offset, width: 4)
    default: return try number(bytes, at: offset, width: 8)
    }
  }

  private static func number(
    _ bytes: UnsafeRawBufferPointer, at offset: Int, width: Int
  ) throws(CompressionError) -> UInt64 {
    guard offset + width <= bytes.count else {
      throw CompressionError(.truncated, .zstd, "ends inside its header, after \(bytes.count) bytes")
    }
    var value: UInt64 = 0
    for index in (0..<width).reversed() { value = value << 8 | UInt64(bytes[offset + index]) }
    return value
  }
}
