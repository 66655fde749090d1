import CZstd

/// Owns one `ZSTD_CCtx`; its memory is used for every block.
final class ZstdPacker {
  private let context: OpaquePointer

  init(level: Int) throws(CompressionError) {
    guard let context = ZSTD_createCCtx() else {
      throw CompressionError(.library, .zstd, "cannot start: out of memory")
    }
    self.context = context
    try setLevel(level)
  }

  /// Between blocks.
  func setLevel(_ level: Int) throws(CompressionError) {
    let code = ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, Int32(level))
    guard ZSTD_isError(code) == 0 else { throw zstdFailure(code, "setting the level") }
  }

  deinit { ZSTD_freeCCtx(context) }

  /// Bytes written, or nil when they do not fit. One frame that declares its size.
  func pack(
    _ source: UnsafeRawBufferPointer, into destination: UnsafeMutableRawBufferPointer
  ) throws(CompressionError) -> Int? {
    let code = ZSTD_compress2(
      context, destination.baseAddress, destination.count, source.baseAddress, source.count)
    if ZSTD_isError(code) == 0 { return code }
    if ZSTD_getErrorCode(code) == ZSTD_error_dstSize_tooSmall { return nil }
    throw zstdFailure(code, "packing")
  }
}

/// Owns one `ZSTD_DCtx`; its memory is used for every block.
final class ZstdUnpacker {
  private let context: OpaquePointer

  init() throws(CompressionError) {
    guard let context = ZSTD_createDCtx() else {
      throw CompressionError(.library, .zstd, "cannot start: out of memory")
    }
    self.context = context
    // The header is checked by us; this is the same limit once more, inside the library.
    let code = ZSTD_DCtx_setParameter(
      context, ZSTD_d_windowLogMax, Int32(CompressionLimits.maximumWindowLog))
    guard ZSTD_isError(code) == 0 else { throw zstdFailure(code, "setting the window limit") }
  }

  deinit { ZSTD_freeDCtx(context) }

  /// Unpacks exactly `destination.count` bytes from exactly one frame, which is all of `source`.
  func unpack(
    _ source: UnsafeRawBufferPointer, into destination: UnsafeMutableRawBufferPointer
  ) throws(CompressionError) {
    try check(ZstdFrameHeader(source), declared: destination.count)
    let frame = ZSTD_findFrameCompressedSize(source.baseAddress, source.count)
    guard ZSTD_isError(frame) == 0 else { throw zstdFailure(frame, "finding its end") }
    guard frame == source.count else {
      throw CompressionError(.trailingBytes, .zstd, "\(source.count - frame) bytes follow its end")
    }
    let written = ZSTD_decompressDCtx(
      context, destination.baseAddress, destination.count, source.baseAddress, source.count)
    guard ZSTD_isError(written) == 0 else { throw zstdFailure(written, "unpacking") }
    guard written == destination.count else {
      throw CompressionError(
        .outputTooSmall, .zstd, "holds \(written) bytes, \(destination.count) were declared")
    }
  }

  private func check(_ header: ZstdFrameHeader, declared: Int) throws(CompressionError) {
    let limit = UInt64(1) << UInt64(CompressionLimits.maximumWindowLog)
    guard header.contentBytes <= UInt64(declared) else {
      throw CompressionError(
        .outputTooLarge, .zstd, "holds \(header.contentBytes) bytes, \(declared) were declared")
    }
    guard header.contentBytes == UInt64(declared) else {
      throw CompressionError(
        .outputTooSmall, .zstd, "holds \(header.contentBytes) bytes, \(declared) were declared")
    }
    guard header.windowBytes <= limit else {
      throw CompressionError(
        .windowTooLarge, .zstd, "wants a window of \(header.windowBytes) bytes, at most \(limit) are allowed")
    }
  }
}

private func zstdFailure(_ code: Int, _ doing: String) -> CompressionError {
  let kind: CompressionError.Code =
    switch ZSTD_getErrorCode(code) {
    case ZSTD_error_srcSize_wrong: .truncated
    case ZSTD_error_dstSize_tooSmall: .outputTooLarge
    case ZSTD_error_frameParameter_windowTooLarge: .windowTooLarge
    case ZSTD_error_memory_allocation: .library
    default: .malformed
    }
  return CompressionError(kind, .zstd, "\(doing) failed: \(String(cString: ZSTD_getErrorName(code)))")
}
