import ReplModel

/// The fixed-length block of a header: fields at offsets, and a SHA-256 of all before it in the last 32
/// bytes. Integers are little-endian.
struct HeaderFields {
  private(set) var bytes: [UInt8]

  /// All zero.
  init(byteCount: Int) { bytes = [UInt8](repeating: 0, count: byteCount) }

  /// Nil when the checksum is wrong.
  init?(checking bytes: [UInt8]) {
    precondition(bytes.count > Hash256.byteCount, "a header is longer than its checksum")
    self.bytes = bytes
    let body = bytes.count - Hash256.byteCount
    guard Array(bytes[body...]) == SHA256Hasher.hash(Array(bytes[..<body])).bytes else { return nil }
  }

  /// The bytes with the checksum put in place.
  func sealed() -> [UInt8] {
    let body = Array(bytes[..<(bytes.count - Hash256.byteCount)])
    return body + SHA256Hasher.hash(body).bytes
  }

  mutating func put(_ value: [UInt8], at offset: Int) {
    bytes.replaceSubrange(offset..<(offset + value.count), with: value)
  }
  mutating func put(_ value: UInt32, at offset: Int) {
    for index in 0..<4 { bytes[offset + index] = UInt8(truncatingIfNeeded: value >> UInt32(8 * index)) }
  }
  mutating func put(_ value: UInt64, at offset: Int) {
    for index in 0..<8 { bytes[offset + index] = UInt8(truncatingIfNeeded: value >> UInt64(8 * index)) }
  }
  mutating func put<Kind>(_ value: Identifier<Kind>, at offset: Int) { put(value.bytes, at: offset) }

  func slice(at offset: Int, count: Int) -> [UInt8] { Array(bytes[offset..<(offset + count)]) }
  func uint32(at offset: Int) -> UInt32 { UInt32(number(at: offset, width: 4)) }
  func uint64(at offset: Int) -> UInt64 { number(at: offset, width: 8) }
  func hash(at offset: Int) -> Hash256 { Hash256(bytes: slice(at: offset, count: Hash256.byteCount))! }
  func identifier<Kind>(at offset: Int) -> Identifier<Kind> {
    Identifier(
      high: number(at: offset, width: 8).byteSwapped, low: number(at: offset + 8, width: 8).byteSwapped)
  }
  func isZero(_ range: Range<Int>) -> Bool { bytes[range].allSatisfy { $0 == 0 } }

  private func number(at offset: Int, width: Int) -> UInt64 {
    var value: UInt64 = 0
    for index in (0..<width).reversed() { value = value << 8 | UInt64(bytes[offset + index]) }
    return value
  }
}
