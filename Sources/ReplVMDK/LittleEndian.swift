/// Integers of a file, least significant byte first.
struct LittleEndian {
  private let bytes: [UInt8]

  init(_ bytes: [UInt8]) { self.bytes = bytes }

  func byte(_ offset: Int) -> UInt8 { bytes[offset] }

  func uint16(_ offset: Int) -> UInt16 { UInt16(truncatingIfNeeded: value(offset, 2)) }

  func uint32(_ offset: Int) -> UInt32 { UInt32(truncatingIfNeeded: value(offset, 4)) }

  func uint64(_ offset: Int) -> UInt64 { value(offset, 8) }

  private func value(_ offset: Int, _ count: Int) -> UInt64 {
    (0..<count).reduce(0) { $0 | UInt64(bytes[offset + $1]) << UInt64(8 * $1) }
  }
}
