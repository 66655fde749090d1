import Glibc
import ReplIO
import ReplModel

@testable import ReplVMDK

/// Reads bytes as a descriptor or as an extent, all of it within bounds. What is refused is refused; anything
/// else must add up.
struct FuzzedImage {
  /// The work for one input: pieces asked for, and bytes read.
  private static let pieces = 2000
  private static let chunkBytes: Int64 = 1 << 16
  private static let readBytes: Int64 = 1 << 20

  private let bytes: [UInt8]

  init(_ bytes: [UInt8]) { self.bytes = bytes }

  func parse() {
    guard let descriptor = try? VMDKDescriptor.parse(bytes, path: "fuzz.vmdk") else { return }
    precondition(descriptor.sectorCount >= 0 && descriptor.sectorCount <= Limits.diskSectors)
    precondition(descriptor.extents.allSatisfy { $0.sectorCount > 0 })
  }

  func read(_ kind: VMDKExtentLine.Kind) {
    let file = FuzzedFile(bytes)
    let context = ExtentContext(tableBytes: 1 << 18, grainBytes: 1 << 18, claimBytes: 1 << 18)
    let extent: any LinkExtent
    do throws(VMDKError) {
      extent = try OpenedExtent.open(
        kind: kind, file: file, path: "fuzz.vmdk", extentSectors: capacity(kind), context: context
      ).extent
    } catch {
      precondition(!error.description.utf8.contains { $0 < 0x20 || $0 == 0x7F })
      return
    }
    do throws(IOError) { try walk(extent) } catch { precondition(!error.description.isEmpty) }
    precondition(context.warnings.count <= Limits.warnings)
  }

  /// What the header says, so that most inputs get past the comparison.
  private func capacity(_ kind: VMDKExtentLine.Kind) -> Int64 {
    guard bytes.count >= 24 else { return 1 }
    let fields = LittleEndian(bytes)
    switch kind {
    case .vmfsSparse: return Int64(fields.uint32(12))
    case .seSparse: return Int64(truncatingIfNeeded: fields.uint64(16))
    default: return Int64(truncatingIfNeeded: fields.uint64(12))
    }
  }

  private func walk(_ extent: any LinkExtent) throws(IOError) {
    precondition(extent.sizeBytes > 0)
    var position: Int64 = 0
    var left = Self.readBytes
    for _ in 0..<Self.pieces {
      guard let next = try extent.nextPresent(atOrAfter: position) else { return }
      precondition(next >= position && next < extent.sizeBytes)
      let piece = try extent.piece(at: next)
      precondition(piece.length > 0 && piece.length <= extent.sizeBytes - next && piece.kind != .absent)
      if piece.kind == .data { try read(extent, at: next, piece.length, &left) }
      position = next + piece.length
      if position >= extent.sizeBytes || left <= 0 { return }
    }
  }

  /// The start and the end of a piece, the latter in an odd place.
  private func read(
    _ extent: any LinkExtent, at offset: Int64, _ length: Int64, _ left: inout Int64
  ) throws(IOError) {
    let head = min(length, Self.chunkBytes)
    var buffer = [UInt8](repeating: 0, count: Int(head))
    try extent.read(&buffer, at: offset)
    left -= head
    guard length > head else { return }
    var tail = [UInt8](repeating: 0, count: Int(min(length - head, 4097)))
    try extent.read(&tail, at: offset + length - Int64(tail.count))
    left -= Int64(tail.count)
  }
}

extension LinkExtent {
  fileprivate func read(_ bytes: inout [UInt8], at offset: Int64) throws(IOError) {
    var failure: IOError?
    bytes.withUnsafeMutableBytes { buffer in
      do throws(IOError) { try read(into: buffer, at: offset) } catch { failure = error }
    }
    if let failure { throw failure }
  }
}

/// The input as a file.
final class FuzzedFile: StorageFile {
  private let bytes: [UInt8]

  init(_ bytes: [UInt8]) { self.bytes = bytes }

  let path = "fuzz.vmdk"
  var sizeBytes: Int64 { Int64(bytes.count) }

  func currentSizeBytes() throws(IOError) -> Int64 { sizeBytes }

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int64) throws(IOError) {
    precondition(offset >= 0, "nobody may ask for what lies before a file")
    guard Int64(buffer.count) <= sizeBytes - offset else {
      throw IOError(.unexpectedEnd, "read", path: path, offsetBytes: offset)
    }
    bytes.withUnsafeBytes { all in
      buffer.copyMemory(
        from: UnsafeRawBufferPointer(rebasing: all[Int(offset)..<(Int(offset) + buffer.count)]))
    }
  }

  func forgetCached(_ range: ByteRange) throws(IOError) {}

  func allocatedRange(atOrAfter offset: Int64) throws(IOError) -> ByteRange? {
    offset < sizeBytes ? ByteRange(offset: offset, length: sizeBytes - offset) : nil
  }

  func write(_ buffer: UnsafeRawBufferPointer, at offset: Int64) throws(IOError) {
    throw IOError(.system(EROFS), "write", path: path)
  }

  func writeZeros(_ range: ByteRange) throws(IOError) { throw IOError(.system(EROFS), "write", path: path) }

  func truncate(to sizeBytes: Int64) throws(IOError) { throw IOError(.system(EROFS), "cut", path: path) }

  func sync() throws(IOError) {}
}
