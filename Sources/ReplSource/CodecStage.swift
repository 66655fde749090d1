import ReplCompression
import ReplDigest
import ReplIO
import ReplModel

/// One codec thread of a scan: computes the batch digest and compresses what is worth it.
final class CodecStage {
  private let scan: PageScan
  private let compressor: Compressor?
  private let digester: PageDigester

  init(scan: PageScan) throws(SourceError) {
    self.scan = scan
    do throws(DigestError) { digester = try PageDigester(key: scan.key) } catch { throw .digest(error) }
    guard scan.codec != .raw else {
      compressor = nil
      return
    }
    do throws(CompressionError) {
      compressor = try Compressor(codec: scan.codec, level: 1)
    } catch { throw .compression("\(error)") }
  }

  func run() throws(SourceError) {
    while let batch = scan.found.pop() {
      let began = scan.times.now
      try digest(batch)
      try compress(batch)
      scan.times.add(.codec, since: began)
      guard scan.ready.push(batch) else { return }
    }
  }

  private func digest(_ batch: OutgoingBatch) throws(SourceError) {
    var failure: DigestError?
    batch.digests.withUnsafeBufferPointer { digests in
      do throws(DigestError) { batch.digest = try digester.digest(of: digests) } catch { failure = error }
    }
    if let failure { throw .digest(failure) }
  }

  /// Leaves the batch raw unless it shrinks by at least a sixteenth.
  private func compress(_ batch: OutgoingBatch) throws(SourceError) {
    guard let compressor, let level = scan.currentLevel, batch.tryCompression, batch.rawLength > 0 else {
      return
    }
    guard let packed = scan.buffers.pop() else { return }
    let limit = batch.rawLength - batch.rawLength / 16
    let source = UnsafeRawBufferPointer(rebasing: batch.buffer.readable[0..<batch.rawLength])
    let target = UnsafeMutableRawBufferPointer(rebasing: packed.bytes[0..<limit])
    do throws(CompressionError) {
      try compressor.setLevel(level)
      guard let length = try compressor.compress(source, into: target) else {
        scan.buffers.push(packed)
        return
      }
      scan.buffers.push(batch.replaceRaw(by: packed, length: length, codec: scan.codec))
    } catch { throw .compression("\(error)") }
  }
}
