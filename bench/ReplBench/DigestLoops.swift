import ReplDigest
import ReplModel

/// The zero test and the digests of pages, on data that is in the processor's cache.
enum DigestLoops {
  static func zeroTest(_ inputs: Inputs) throws -> Double {
    let page = 4096
    let zeros = UnsafeMutableRawBufferPointer.allocate(byteCount: Inputs.cachedBytes, alignment: 4096)
    zeros.initializeMemory(as: UInt8.self, repeating: 0)
    let bytes = UnsafeRawBufferPointer(zeros)
    return try Rate.measure(bytes: bytes.count * 64) {
      var zeroPages = 0
      for _ in 0..<64 {
        for offset in stride(from: 0, to: bytes.count, by: page) {
          let part = UnsafeRawBufferPointer(rebasing: bytes[offset..<(offset + page)])
          if ZeroTest.isZero(part) { zeroPages += 1 }
        }
      }
      guard zeroPages == 64 * bytes.count / page else { throw BenchError("a zero page was missed") }
    }
  }

  static func digest(_ inputs: Inputs, pageSizeBytes: Int) throws -> Double {
    let bytes = UnsafeRawBufferPointer(rebasing: inputs.data[..<Inputs.cachedBytes])
    let digester = try PageDigester(key: .generate())
    let count = bytes.count / pageSizeBytes
    let digests = UnsafeMutableBufferPointer<PageDigest>.allocate(capacity: count)
    digests.initialize(repeating: .zero)
    return try Rate.measure(bytes: bytes.count * 16) {
      for _ in 0..<16 {
        try digester.digest(pages: bytes, pageSizeBytes: pageSizeBytes, into: digests)
      }
      guard !digests[0].isZero else { throw BenchError("the first page has no digest") }
    }
  }
}
