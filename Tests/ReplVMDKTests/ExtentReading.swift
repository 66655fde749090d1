import Glibc
import ReplIO
import ReplModel
import Testing

@testable import ReplVMDK

extension MemoryFile {
  func open(
    _ kind: VMDKExtentLine.Kind, sectors: Int64, _ context: ExtentContext = ExtentContext()
  ) throws(VMDKError) -> OpenedExtent {
    try OpenedExtent.open(
      kind: kind, file: self, path: "d.vmdk", extentSectors: sectors, context: context)
  }
}

extension LinkExtent {
  func read(_ buffer: inout [UInt8], from offset: Int64) throws {
    try buffer.withUnsafeMutableBytes { try read(into: $0, at: offset) }
  }
}

/// All of an extent, piece by piece, over what its parent holds (0xEE where nothing is given).
func contents(of extent: any LinkExtent, over parent: [UInt8]? = nil) throws -> [UInt8] {
  var result = parent ?? [UInt8](repeating: 0xEE, count: Int(extent.sizeBytes))
  var position: Int64 = 0
  while position < extent.sizeBytes {
    let piece = try extent.piece(at: position)
    try #require(piece.length > 0 && piece.length <= extent.sizeBytes - position)
    let range = Int(position)..<Int(position + piece.length)
    switch piece.kind {
    case .absent: break
    case .zero:
      result.withUnsafeMutableBytes { _ = memset($0.baseAddress! + range.lowerBound, 0, range.count) }
    case .data:
      try result.withUnsafeMutableBytes {
        try extent.read(into: UnsafeMutableRawBufferPointer(rebasing: $0[range]), at: position)
      }
    }
    position += piece.length
  }
  return result
}

/// The next present byte, asked from everywhere near a border, is what the pieces say.
func expectNextPresent(_ extent: any LinkExtent, _ comment: Comment) throws {
  var kinds: [(start: Int64, piece: LinkPiece)] = []
  var position: Int64 = 0
  while position < extent.sizeBytes {
    let piece = try extent.piece(at: position)
    kinds.append((position, piece))
    position += piece.length
  }
  for start in Set(kinds.flatMap { [$0.start, $0.start + $0.piece.length - 1, $0.start + 1] })
  where start < extent.sizeBytes {
    let expected = kinds.first { $0.start + $0.piece.length > start && $0.piece.kind != .absent }
      .map { max(start, $0.start) }
    #expect(try extent.nextPresent(atOrAfter: start) == expected, comment)
  }
}

/// What one kind of refusal looks like: a change to a good image, and what is then said.
struct Refusal<Builder>: Sendable, CustomTestStringConvertible {
  let code: VMDKError.Code
  let text: String
  let change: @Sendable (inout Builder) -> Void
  var testDescription: String { "\(code): \(text)" }

  init(_ code: VMDKError.Code, _ text: String, _ change: @escaping @Sendable (inout Builder) -> Void) {
    (self.code, self.text, self.change) = (code, text, change)
  }
}

/// Damage that is found while reading.
struct Damage<Builder>: Sendable, CustomTestStringConvertible {
  let text: String
  let change: @Sendable (inout Builder) -> Void
  var testDescription: String { text }

  init(_ text: String, _ change: @escaping @Sendable (inout Builder) -> Void) {
    (self.text, self.change) = (text, change)
  }
}

/// Reading all of it fails, and the error says why and where.
func expectDamage(_ text: String, _ extent: any LinkExtent) throws {
  let error = try #require(throws: IOError.self) { _ = try contents(of: extent) }
  #expect(error.kind == .damaged && error.remedy == .abandonPass)
  #expect(error.description.contains(text), "\(error)")
  #expect(error.description.contains("damaged or still being written"), "\(error)")
}

/// Bytes of a parent: no two sectors alike, and quickly made.
func parentBytes(_ count: Int) -> [UInt8] {
  let pattern = (0..<4093).map { UInt8(truncatingIfNeeded: $0 &* 37 &+ $0 >> 5 | 1) }
  var bytes: [UInt8] = []
  bytes.reserveCapacity(count + pattern.count)
  while bytes.count < count { bytes += pattern }
  return Array(bytes[..<count])
}
