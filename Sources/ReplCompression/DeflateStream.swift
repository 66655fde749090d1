import CZlib

/// Owns one `z_stream` for packing. Its memory is reserved once and used for every block.
final class DeflateStream {
  private let stream: UnsafeMutablePointer<z_stream>

  init(level: Int) throws(CompressionError) {
    // zlib keeps a pointer back to the stream, so it lives at one address.
    let made = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
    made.initialize(to: z_stream())
    let code = repl_deflate_init(made, Int32(level))
    guard code == Z_OK else {
      made.deallocate()
      throw CompressionError(.library, .zlib, "cannot start: zlib code \(code)")
    }
    stream = made
  }

  /// Between blocks.
  func setLevel(_ level: Int) throws(CompressionError) {
    // Before the first byte of a block nothing is flushed by it.
    guard deflateReset(stream) == Z_OK, deflateParams(stream, Int32(level), Z_DEFAULT_STRATEGY) == Z_OK else {
      throw CompressionError(.library, .zlib, "cannot set level \(level)")
    }
  }

  deinit {
    deflateEnd(stream)
    stream.deallocate()
  }

  /// Bytes written, or nil when they do not fit.
  func pack(
    _ source: UnsafeRawBufferPointer, into destination: UnsafeMutableRawBufferPointer
  ) throws(CompressionError) -> Int? {
    // An empty buffer may have no address, which zlib refuses as an output.
    guard let output = destination.baseAddress, destination.count > 0 else { return nil }
    guard deflateReset(stream) == Z_OK else {
      throw CompressionError(.library, .zlib, "cannot reset the stream")
    }
    stream.pointee.next_in = source.zlibInput
    stream.pointee.avail_in = UInt32(source.count)
    stream.pointee.next_out = output.assumingMemoryBound(to: UInt8.self)
    stream.pointee.avail_out = UInt32(destination.count)
    switch deflate(stream, Z_FINISH) {
    case Z_STREAM_END: return destination.count - Int(stream.pointee.avail_out)
    case Z_OK, Z_BUF_ERROR: return nil
    case let code: throw CompressionError(.library, .zlib, "packing failed: zlib code \(code)")
    }
  }
}

extension UnsafeRawBufferPointer {
  /// zlib's input pointer is not const by its history; it never writes through it.
  var zlibInput: UnsafeMutablePointer<UInt8>? {
    guard count > 0 else { return nil }
    return UnsafeMutableRawPointer(mutating: baseAddress)?.assumingMemoryBound(to: UInt8.self)
  }
}
