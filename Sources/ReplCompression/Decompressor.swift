/// Unpacks blocks of every codec. One per thread: the libraries' memory is reserved at first use and used
/// again.
public final class Decompressor {
  private var zlib: InflateStream?
  private var zstd: ZstdUnpacker?

  /// Reserves nothing yet.
  public init() {}

  /// Unpacks exactly `destination.count` bytes from exactly all of `source`.
  ///
  /// Never writes beyond `destination`, whatever the bytes say. After an error its content is undefined.
  /// The errors say which rule was broken: more or fewer bytes than declared, an early end, trailing bytes,
  /// a window that is too large, or content that is no stream of that codec.
  public func decompress(
    _ codec: Codec, _ source: UnsafeRawBufferPointer, into destination: UnsafeMutableRawBufferPointer
  ) throws(CompressionError) {
    try checkLimit(source.count, codec)
    try checkLimit(destination.count, codec)
    switch codec {
    case .raw: try copy(source, into: destination)
    case .zlib: try zlibStream().unpack(source, into: destination)
    case .zstd: try zstdContext().unpack(source, into: destination)
    }
  }

  private func copy(
    _ source: UnsafeRawBufferPointer, into destination: UnsafeMutableRawBufferPointer
  ) throws(CompressionError) {
    guard source.count == destination.count else {
      let code: CompressionError.Code =
        source.count < destination.count ? .outputTooSmall : .outputTooLarge
      throw CompressionError(code, .raw, "holds \(source.count) bytes, \(destination.count) were declared")
    }
    destination.copyMemory(from: source)
  }

  private func zlibStream() throws(CompressionError) -> InflateStream {
    if let zlib { return zlib }
    let made = try InflateStream()
    zlib = made
    return made
  }

  private func zstdContext() throws(CompressionError) -> ZstdUnpacker {
    if let zstd { return zstd }
    let made = try ZstdUnpacker()
    zstd = made
    return made
  }
}
