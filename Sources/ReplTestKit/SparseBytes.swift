import Glibc

/// The bytes of a file, kept in chunks so that what was never written costs nothing. A value: copies share
/// chunks.
struct SparseBytes: Sendable, Equatable {
  static let chunkBytes: Int64 = 4096

  private(set) var sizeBytes: Int64 = 0
  private var chunks: [Int64: [UInt8]] = [:]

  var allocatedBytes: Int64 { Int64(chunks.count) * Self.chunkBytes }

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int64) {
    Self.parts(offset: offset, count: buffer.count) { chunk, inChunk, inBuffer, count in
      let target = UnsafeMutableRawBufferPointer(rebasing: buffer[inBuffer..<(inBuffer + count)])
      guard let bytes = chunks[chunk] else {
        memset(target.baseAddress!, 0, target.count)
        return
      }
      bytes.withUnsafeBytes { target.copyMemory(from: .init(rebasing: $0[inChunk..<(inChunk + count)])) }
    }
  }

  mutating func write(_ bytes: UnsafeRawBufferPointer, at offset: Int64) {
    sizeBytes = max(sizeBytes, offset + Int64(bytes.count))
    Self.parts(offset: offset, count: bytes.count) { chunk, inChunk, inBuffer, count in
      let part = UnsafeRawBufferPointer(rebasing: bytes[inBuffer..<(inBuffer + count)])
      chunks[chunk, default: Self.emptyChunk].withUnsafeMutableBytes {
        UnsafeMutableRawBufferPointer(rebasing: $0[inChunk..<(inChunk + count)]).copyMemory(from: part)
      }
    }
  }

  /// Whole chunks become holes; the parts at the edges are filled with zeros. The size stays.
  mutating func zero(offset: Int64, length: Int64) {
    let end = min(offset + length, sizeBytes)
    guard offset < end else { return }
    for chunk in chunks.keys where chunk * Self.chunkBytes < end && (chunk + 1) * Self.chunkBytes > offset {
      let start = max(offset, chunk * Self.chunkBytes)
      let stop = min(end, (chunk + 1) * Self.chunkBytes)
      if stop - start == Self.chunkBytes {
        chunks[chunk] = nil
      } else {
        clear(chunk, from: Int(start - chunk * Self.chunkBytes), count: Int(stop - start))
      }
    }
  }

  mutating func truncate(to size: Int64) {
    if size < sizeBytes { zero(offset: size, length: sizeBytes - size) }
    for chunk in chunks.keys where chunk * Self.chunkBytes >= size { chunks[chunk] = nil }
    sizeBytes = size
  }

  /// The next stretch at or after `offset` that is not a hole: start and end, the end cut at the file's.
  func allocated(atOrAfter offset: Int64) -> (start: Int64, end: Int64)? {
    guard offset < sizeBytes else { return nil }
    let wanted = offset / Self.chunkBytes
    guard let first = chunks.keys.lazy.filter({ $0 >= wanted }).min() else { return nil }
    var last = first
    while chunks[last + 1] != nil { last += 1 }
    let start = max(offset, first * Self.chunkBytes)
    let end = min((last + 1) * Self.chunkBytes, sizeBytes)
    return start < end ? (start, end) : nil
  }

  /// How many bytes of new space a write would take.
  func growth(offset: Int64, count: Int) -> Int64 {
    var missing: Int64 = 0
    Self.parts(offset: offset, count: count) { chunk, _, _, _ in if chunks[chunk] == nil { missing += 1 } }
    return missing * Self.chunkBytes
  }

  private static let emptyChunk = [UInt8](repeating: 0, count: Int(chunkBytes))

  private mutating func clear(_ chunk: Int64, from first: Int, count: Int) {
    chunks[chunk]?.withUnsafeMutableBytes {
      _ = memset($0.baseAddress! + first, 0, count)
    }
  }

  private static func parts(offset: Int64, count: Int, _ body: (Int64, Int, Int, Int) -> Void) {
    var done = 0
    while done < count {
      let position = offset + Int64(done)
      let inChunk = Int(position % chunkBytes)
      let part = min(count - done, Int(chunkBytes) - inChunk)
      body(position / chunkBytes, inChunk, done, part)
      done += part
    }
  }
}

extension [UInt8] {
  /// As `Array(buffer)`, which copies byte by byte in debug builds.
  public init(copying buffer: UnsafeRawBufferPointer) {
    self.init(unsafeUninitializedCapacity: buffer.count) { target, count in
      if let start = buffer.baseAddress { memcpy(target.baseAddress!, start, buffer.count) }
      count = buffer.count
    }
  }
}
