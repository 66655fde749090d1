import ReplCompression
import ReplIO
import ReplModel

/// Changed runs of one disk, ready to be framed: ascending, at most 1 MiB of raw bytes.
public final class OutgoingBatch: @unchecked Sendable {
  // SAFETY: one stage of the pipeline owns a batch at a time; the queues between stages hand it over.
  public static let rawLimitBytes = 1 << 20

  public let token: ResumeTracker.Token
  public let diskIndex: Int
  public private(set) var runs: [PageRun] = []
  /// Over the digests of the data runs' pages; the receiver compares it before it believes a byte.
  public internal(set) var digest = PageDigest.zero
  /// Bytes before the codec.
  public internal(set) var rawLength = 0
  public private(set) var codec = Codec.raw
  /// The digests of the data runs' pages, in order.
  var digests: [PageDigest] = []
  /// True when the data looks compressible.
  let tryCompression: Bool
  private(set) var buffer: AlignedBuffer
  private var packedLength: Int?

  init(token: ResumeTracker.Token, diskIndex: Int, buffer: AlignedBuffer, tryCompression: Bool) {
    self.token = token
    self.diskIndex = diskIndex
    self.buffer = buffer
    self.tryCompression = tryCompression
  }

  /// What travels, after the codec.
  public var payload: UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(rebasing: buffer.readable[0..<(packedLength ?? rawLength)])
  }

  /// The digests of the data runs' pages, in order.
  public var pageDigests: [PageDigest] { digests }

  public var dataPages: Int64 { Int64(digests.count) }
  public var zeroPages: Int64 { runs.reduce(0) { $0 + ($1.kind == .zero ? $1.pageCount : 0) } }

  /// Adds pages; a run that continues the last one is merged with it.
  func append(kind: PageRun.Kind, firstPage: Int64, pageCount: Int64) {
    if let last = runs.last, last.kind == kind, last.pages.upperBound == firstPage {
      runs[runs.count - 1] = PageRun(
        kind: kind, firstPage: last.firstPage, pageCount: last.pageCount + pageCount)
    } else {
      runs.append(PageRun(kind: kind, firstPage: firstPage, pageCount: pageCount))
    }
  }

  /// Puts the compressed bytes in place of the raw ones; returns the buffer that is free now.
  func replaceRaw(by packed: AlignedBuffer, length: Int, codec: Codec) -> AlignedBuffer {
    let raw = buffer
    buffer = packed
    packedLength = length
    self.codec = codec
    return raw
  }
}
