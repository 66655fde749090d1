import Glibc
import ReplIO

/// An extent without a file: zeros, whatever a parent holds.
final class ZeroExtent: LinkExtent {
  let sizeBytes: Int64

  init(sizeBytes: Int64) { self.sizeBytes = sizeBytes }

  func piece(at offset: Int64) -> LinkPiece { LinkPiece(kind: .zero, length: sizeBytes - offset) }

  func nextPresent(atOrAfter offset: Int64) -> Int64? { offset < sizeBytes ? max(0, offset) : nil }

  /// Never asked for: there is no piece of data.
  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int64) {
    if let start = buffer.baseAddress { memset(start, 0, buffer.count) }
  }

  func allocatedBytes() -> Int64 { 0 }
}
