import CZlib

/// Owns one `z_stream` for unpacking. Its memory is reserved once and used for every block.
final class InflateStream {
  private let stream: UnsafeMutablePointer<z_stream>

  init() throws(CompressionError) {
    // zlib keeps a pointer back to the stream, so it lives at one address.
    let made = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
    made.initialize(to: z_stream())
    let code = repl_inflate_init(made)
    guard code == Z_OK else {
      made.deallocate()
      throw CompressionError(.library, .zlib, "cannot start: zlib code \(code)")
    }
    stream = made
  }

  deinit {
    inflateEnd(stream)
    stream.deallocate()
  }

  /// Unpacks exactly `destination.count` bytes from exactly all of `source`.
  func unpack(
    _ source: UnsafeRawBufferPointer, into destination: UnsafeMutableRawBufferPointer
  ) throws(CompressionError) {
    guard inflateReset(stream) == Z_OK else {
      throw CompressionError(.library, .zlib, "cannot reset the stream")
    }
    // zlib wants an address even for an output of no bytes; it writes nothing there.
    var nowhere: UInt8 = 0
    let code = withUnsafeMutablePointer(to: &nowhere) { nowhere in
      stream.pointee.next_in = source.zlibInput
      stream.pointee.avail_in = UInt32(source.count)
      stream.pointee.next_out = destination.baseAddress?.assumingMemoryBound(to: UInt8.self) ?? nowhere
      stream.pointee.avail_out = UInt32(destination.count)
      return inflate(stream, Z_FINISH)
    }
    let written = destination.count - Int(stream.pointee.avail_out)
    let unread = Int(stream.pointee.avail_in)
    if code == Z_STREAM_END {
      return try checkEnd(written: written, declared: destination.count, unread: unread)
    }
    try fail(code, written: written, declared: destination.count, unread: unread)
  }

  private func checkEnd(written: Int, declared: Int, unread: Int) throws(CompressionError) {
    guard written == declared else {
      throw CompressionError(.outputTooSmall, .zlib, "holds \(written) bytes, \(declared) were declared")
    }
    guard unread == 0 else {
      throw CompressionError(.trailingBytes, .zlib, "\(unread) bytes follow its end")
    }
  }

  private func fail(
    _ code: Int32, written: Int, declared: Int, unread: Int
  ) throws(CompressionError) -> Never {
    switch code {
    case Z_OK, Z_BUF_ERROR:
      guard unread == 0 || written < declared else {
        throw CompressionError(.outputTooLarge, .zlib, "holds more than the \(declared) bytes declared")
      }
      throw CompressionError(.truncated, .zlib, "ends after \(written) of \(declared) bytes")
    case Z_NEED_DICT: throw CompressionError(.malformed, .zlib, "wants a dictionary; none is ever used")
    case Z_DATA_ERROR:
      let reason = stream.pointee.msg.map { String(cString: $0) } ?? "damaged"
      throw CompressionError(.malformed, .zlib, "\(reason) (after \(written) of \(declared) bytes)")
    default: throw CompressionError(.library, .zlib, "unpacking failed: zlib code \(code)")
    }
  }
}
