import ReplProtocol

/// Bytes as they come from a peer after the handshake.
struct FuzzedStream {
  private let bytes: [UInt8]

  init(_ bytes: [UInt8]) { self.bytes = bytes }

  func readBanner() {
    bytes.withUnsafeBytes { buffer in
      do throws(ProtocolError) {
        guard let (banner, count) = try Banner.parse(prefix: buffer) else {
          return precondition(buffer.count < Banner.maximumByteCount)
        }
        precondition(count <= min(buffer.count, Banner.maximumByteCount))
        precondition(banner.minimumVersion >= 1 && banner.minimumVersion <= banner.maximumVersion)
        precondition(Array(banner.encode()) == Array(buffer[..<count]))
      } catch { expectPrintable(error.description) }
    }
  }

  /// Header by header, each payload within the limits of its type, and numbers without a gap.
  func readFrames() {
    var rest = bytes[...]
    var reader = FrameReader()
    var next: UInt64 = 0
    do throws(ProtocolError) {
      while let frame = try reader.next(from: &rest) {
        precondition(frame.header.sequence == next)
        precondition(frame.payload.count == frame.header.payloadLength)
        precondition(reader.limits.payloadLengths(of: frame.header.type).contains(frame.payload.count))
        next += 1
        FuzzedPayload(frame.payload).read(frame.header.type)
      }
      try reader.finish(rest: rest)
    } catch { expectPrintable(error.description) }
  }
}
