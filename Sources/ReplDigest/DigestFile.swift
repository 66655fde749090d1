import Glibc
import ReplIO
import ReplModel

/// The leaves and nodes of an open map or delta file. Zeros are never written to space that reads as zero
/// already, so that holes stay holes.
final class DigestFile: Sendable {
  let file: any StorageFile
  let layout: DigestFileLayout

  init(file: any StorageFile, layout: DigestFileLayout) {
    self.file = file
    self.layout = layout
  }

  /// Fills `buffer`, a whole number of leaves.
  func readLeaves(from leaf: Int64, into buffer: UnsafeMutableRawBufferPointer) throws(DigestError) {
    try storage { () throws(IOError) in try file.read(into: buffer, at: layout.leafOffset(leaf)) }
  }

  /// Fills `buffer`, a whole number of nodes.
  func readNodes(
    level: Int, from index: Int64, into buffer: UnsafeMutableRawBufferPointer
  ) throws(DigestError) {
    try storage { () throws(IOError) in
      try file.read(into: buffer, at: layout.nodeOffset(level: level, index))
    }
  }

  /// Writes whole leaves: adjacent ones that hold something in one call, all-zero ones by clearing.
  func writeLeaves(from leaf: Int64, _ bytes: UnsafeRawBufferPointer) throws(DigestError) {
    let size = DigestTree.leafBytes
    let count = bytes.count / size
    func isZero(_ index: Int) -> Bool {
      ZeroTest.isZero(UnsafeRawBufferPointer(rebasing: bytes[(index * size)..<((index + 1) * size)]))
    }
    var start = 0
    while start < count {
      let zero = isZero(start)
      var end = start + 1
      while end < count, isZero(end) == zero { end += 1 }
      let part = UnsafeRawBufferPointer(rebasing: bytes[(start * size)..<(end * size)])
      try put(part, isZero: zero, at: layout.leafOffset(leaf + Int64(start)))
      start = end
    }
  }

  /// Writes nodes where they differ from what is there.
  func writeNodes(level: Int, from index: Int64, _ bytes: UnsafeRawBufferPointer) throws(DigestError) {
    let offset = layout.nodeOffset(level: level, index)
    if try holds(bytes, at: offset) { return }
    try storage { () throws(IOError) in try file.write(bytes, at: offset) }
  }

  /// All nodes become zero: the file is cut behind the leaves and extended again.
  func clearNodes(fileBytes: Int64) throws(DigestError) {
    try storage { () throws(IOError) in
      try file.truncate(to: layout.nodesOffset)
      try file.truncate(to: fileBytes)
    }
  }

  func sync() throws(DigestError) {
    try storage { () throws(IOError) in try file.sync() }
  }

  /// The first leaf at or after `leaf` that is not in a hole.
  func leafWithContent(atOrAfter leaf: Int64) throws(DigestError) -> Int64? {
    guard leaf < layout.leafCount else { return nil }
    let offset = layout.leafOffset(max(0, leaf))
    let range = try storage { () throws(IOError) in try file.allocatedRange(atOrAfter: offset) }
    guard let range else { return nil }
    let found = max(leaf, (range.offset - DigestFileLayout.leavesOffset) / Int64(DigestTree.leafBytes))
    return found < layout.leafCount ? max(0, found) : nil
  }

  /// The first node of a level at or after `index` that is not in a hole.
  func nodeWithContent(level: Int, atOrAfter index: Int64) throws(DigestError) -> Int64? {
    let count = layout.shape.nodeCount(level: level)
    guard index < count else { return nil }
    let offset = layout.nodeOffset(level: level, index)
    let range = try storage { () throws(IOError) in try file.allocatedRange(atOrAfter: offset) }
    guard let range else { return nil }
    let start = layout.nodeOffset(level: level, 0)
    let found = max(index, (range.offset - start) / Int64(DigestTree.nodeBytes))
    return found < count ? found : nil
  }

  private func put(_ bytes: UnsafeRawBufferPointer, isZero: Bool, at offset: Int64) throws(DigestError) {
    guard isZero else {
      return try storage { () throws(IOError) in try file.write(bytes, at: offset) }
    }
    if try holds(bytes, at: offset) { return }
    let range = ByteRange(offset: offset, length: Int64(bytes.count))
    try storage { () throws(IOError) in try file.writeZeros(range) }
  }

  private func holds(_ bytes: UnsafeRawBufferPointer, at offset: Int64) throws(DigestError) -> Bool {
    let current = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 16)
    defer { current.deallocate() }
    try storage { () throws(IOError) in try file.read(into: current, at: offset) }
    return memcmp(current.baseAddress!, bytes.baseAddress!, bytes.count) == 0
  }
}
