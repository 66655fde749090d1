/// Packs blocks with one codec. One per thread: the library's memory is reserved once and used for every
/// block.
public final class Compressor {
  /// What it packs with.
  public let codec: Codec
  /// The library's own level, within `CompressionLimits.levels`.
  public private(set) var level: Int
  private let engine: Engine

  private enum Engine {
    case raw
    case zlib(DeflateStream)
    case zstd(ZstdPacker)
  }

  /// `level` is the library's own, within `CompressionLimits.levels`; `raw` has none.
  public init(codec: Codec, level: Int = 1) throws(CompressionError) {
    try checkLevel(level, codec)
    self.codec = codec
    self.level = level
    engine =
      switch codec {
      case .raw: .raw
      case .zlib: .zlib(try DeflateStream(level: level))
      case .zstd: .zstd(try ZstdPacker(level: level))
      }
  }

  /// From the next block on another level; the library keeps its memory and takes more where it needs more.
  public func setLevel(_ level: Int) throws(CompressionError) {
    guard level != self.level else { return }
    try checkLevel(level, codec)
    switch engine {
    case .raw: break
    case .zlib(let stream): try stream.setLevel(level)
    case .zstd(let packer): try packer.setLevel(level)
    }
    self.level = level
  }

  /// Packs all of `source`. Bytes written; nil when the result does not fit into `destination`, whose
  /// content is then undefined: the caller sends the block raw. Throws `.limit` for a block that is too
  /// large.
  public func compress(
    _ source: UnsafeRawBufferPointer, into destination: UnsafeMutableRawBufferPointer
  ) throws(CompressionError) -> Int? {
    try checkLimit(source.count, codec)
    // Room beyond the limit is never used, and would not fit zlib's counters.
    let room = UnsafeMutableRawBufferPointer(
      rebasing: destination.prefix(2 * CompressionLimits.maximumBlockBytes))
    switch engine {
    case .zlib(let stream): return try stream.pack(source, into: room)
    case .zstd(let packer): return try packer.pack(source, into: room)
    case .raw:
      guard source.count <= room.count else { return nil }
      room.copyMemory(from: source)
      return source.count
    }
  }
}

private func checkLevel(_ level: Int, _ codec: Codec) throws(CompressionError) {
  guard CompressionLimits.levels.contains(level) else {
    throw CompressionError(
      .limit, codec, "level \(level) is not in \(CompressionLimits.levels); set compression level 1")
  }
}

/// Refuses a block larger than the limit.
func checkLimit(_ count: Int, _ codec: Codec) throws(CompressionError) {
  guard count <= CompressionLimits.maximumBlockBytes else {
    throw CompressionError(
      .limit, codec, "\(count) bytes, at most \(CompressionLimits.maximumBlockBytes) are allowed")
  }
}
