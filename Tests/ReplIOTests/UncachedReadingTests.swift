import Foundation
import Glibc
import ReplModel
import ReplTestKit
import Testing

@testable import ReplIO

/// Reading past the page cache: always the bytes of the file, and memory left to others.
@Suite struct UncachedReadingTests {
  private static let size = (4 << 20) + 1000

  private func withFile(_ body: (PosixFile, [UInt8]) throws -> Void) throws {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent(
      "uncached-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    var random = SeededRandom(seed: 11)
    var words = (0...Self.size / 8).map { _ in random.next() }
    let content = words.withUnsafeMutableBytes { Array($0[..<Self.size]) }
    let file = try PosixDirectory(path: folder.path).openPosixFile("disk", .createNew)
    try content.withUnsafeBytes { try file.write($0, at: 0) }
    try file.sync()
    try body(file, content)
  }

  private func dropCache(_ file: PosixFile) throws {
    try file.forgetCached(ByteRange(offset: 0, length: Int64(Self.size)))
  }

  @Test("what is not cached is read past the cache and stays out of it, what is cached comes from there")
  func passesCache() throws {
    try withFile { file, content in
      let range: Range<Int64> = 0..<(1 << 20)
      try dropCache(file)
      // A file system without O_DIRECT, such as an older tmpfs, has everything in memory anyway.
      guard file.uncached.descriptor(file.descriptor, for: range) != nil else { return }
      let buffer = AlignedBuffer(hugePagesFor: 1 << 20)
      try file.readSparingCache(into: buffer.bytes, at: 0)
      #expect(content.withUnsafeBytes { memcmp($0.baseAddress!, buffer.bytes.baseAddress!, 1 << 20) } == 0)
      #expect(file.uncached.descriptor(file.descriptor, for: range) != nil, "reading it filled the cache")
      try file.read(into: buffer.bytes, at: 0)
      #expect(file.uncached.descriptor(file.descriptor, for: range) == nil)
    }
  }

  @Test("any place, length and memory gives the bytes of the file, cached or not, and a refusal as well")
  func anyPlace() throws {
    try withFile { file, content in
      var random = SeededRandom(seed: 12)
      let buffer = AlignedBuffer(byteCount: 2 << 20)
      for round in 0..<200 {
        if round % 3 == 0 { try dropCache(file) }
        if round == 150 { file.uncached.refuse() }
        let isAligned = Bool.random(using: &random)
        let unit = isAligned ? 4096 : 1
        let length = Int.random(in: 1...((1 << 20) / unit), using: &random) * unit
        let offset = Int.random(in: 0...((Self.size - length) / unit), using: &random) * unit
        let start = isAligned ? 0 : Int.random(in: 0...511, using: &random)
        let part = UnsafeMutableRawBufferPointer(rebasing: buffer.bytes[start..<(start + length)])
        try file.readSparingCache(into: part, at: Int64(offset))
        let difference = content.withUnsafeBytes {
          memcmp($0.baseAddress! + offset, part.baseAddress!, length)
        }
        #expect(difference == 0, "\(length) bytes at \(offset)")
      }
    }
  }

  @Test("the end of the file is an error that names the place, also past the cache")
  func end() throws {
    try withFile { file, _ in
      try dropCache(file)
      let buffer = AlignedBuffer(byteCount: 1 << 20)
      let error = #expect(throws: IOError.self) { try file.readSparingCache(into: buffer.bytes, at: 4 << 20) }
      #expect(error?.kind == .unexpectedEnd)
      #expect(error?.offsetBytes == Int64(Self.size))
    }
  }

  @Test("where the kernel does not count, a look at some pages tells what is cached")
  func probes() throws {
    try withFile { file, _ in
      let reading = UncachedReading(countsCache: false)
      let range: Range<Int64> = (1 << 20)..<(2 << 20)
      let buffer = AlignedBuffer(byteCount: 1 << 20)
      try file.read(into: buffer.bytes, at: range.lowerBound)
      #expect(reading.descriptor(file.descriptor, for: range) == nil)
      try dropCache(file)
      // As above: without O_DIRECT there is nothing to tell.
      guard file.uncached.descriptor(file.descriptor, for: range) != nil else { return }
      #expect(reading.descriptor(file.descriptor, for: range) != nil)
    }
  }
}
