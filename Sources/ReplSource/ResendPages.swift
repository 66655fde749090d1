import ReplDigest
import ReplIO
import ReplModel

/// Reads pages of the view again, because they arrived damaged.
public struct ResendPages {
  private let disk: ScanDisk
  private let index: Int
  private let digester: PageDigester

  public init(disk: ScanDisk, index: Int, key: DigestKey) throws(SourceError) {
    self.disk = disk
    self.index = index
    do throws(DigestError) { digester = try PageDigester(key: key) } catch { throw .digest(error) }
  }

  /// Cuts a range of pages into parts that fit a batch, of which the receiver takes `batchLimitBytes`.
  public static func parts(
    of pages: Range<Int64>, grid: PageGrid, batchLimitBytes: Int = OutgoingBatch.rawLimitBytes
  ) -> some Sequence<Range<Int64>> {
    let limit = min(batchLimitBytes, OutgoingBatch.rawLimitBytes)
    let step = Int64(max(1, limit / grid.pageSizeBytes))
    return stride(from: pages.lowerBound, to: pages.upperBound, by: Int(step)).lazy.map { first in
      first..<min(first + step, pages.upperBound)
    }
  }

  /// One part as a raw batch, held under `token` until it is acknowledged.
  public func read(_ pages: Range<Int64>, token: ResumeTracker.Token) throws(SourceError) -> OutgoingBatch {
    let bytes = disk.grid.bytes(of: pages)
    if try isHole(bytes) { return zeros(pages, token: token) }
    let buffer = AlignedBuffer(byteCount: OutgoingBatch.rawLimitBytes)
    let batch = OutgoingBatch(
      token: token, diskIndex: index, buffer: buffer, tryCompression: false)
    let data = UnsafeMutableRawBufferPointer(rebasing: buffer.bytes[0..<Int(bytes.length)])
    do throws(IOError) { try disk.image.read(into: data, at: bytes.offset) } catch { throw .io(error) }
    var digests = [PageDigest](repeating: .zero, count: pages.count)
    var failure: DigestError?
    digests.withUnsafeMutableBufferPointer { digests in
      do throws(DigestError) {
        try digester.digest(
          pages: UnsafeRawBufferPointer(data), pageSizeBytes: disk.grid.pageSizeBytes, into: digests)
        batch.digest = try digester.digest(of: UnsafeBufferPointer(digests))
      } catch { failure = error }
    }
    if let failure { throw .digest(failure) }
    batch.rawLength = Int(bytes.length)
    batch.digests = digests
    batch.append(kind: .data, firstPage: pages.lowerBound, pageCount: Int64(pages.count))
    return batch
  }

  /// A zero run of any length may be asked for: its holes are not read.
  private func isHole(_ bytes: ByteRange) throws(SourceError) -> Bool {
    do throws(IOError) {
      return try disk.image.allocatedRange(atOrAfter: bytes.offset).map { $0.offset >= bytes.end } ?? true
    } catch { throw .io(error) }
  }

  private func zeros(_ pages: Range<Int64>, token: ResumeTracker.Token) -> OutgoingBatch {
    let batch = OutgoingBatch(
      token: token, diskIndex: index, buffer: AlignedBuffer(byteCount: 0), tryCompression: false)
    batch.append(kind: .zero, firstPage: pages.lowerBound, pageCount: Int64(pages.count))
    return batch
  }
}
