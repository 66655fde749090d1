/// Integers of the wire. Callers have checked that the bytes are there.
enum LittleEndian {
  static func append(_ value: some FixedWidthInteger, to bytes: inout [UInt8]) {
    withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
  }

  static func read<Value: FixedWidthInteger>(
    _ type: Value.Type, _ bytes: UnsafeRawBufferPointer, at offset: Int
  ) -> Value {
    Value(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: type))
  }
}

extension Array where Element == UInt8 {
  /// `withUnsafeBytes` with a typed error, which the standard library's does not have.
  func withRawBytes<Value>(
    _ body: (UnsafeRawBufferPointer) throws(ProtocolError) -> Value
  ) throws(ProtocolError) -> Value {
    let result: Result<Value, ProtocolError> = withUnsafeBytes { raw in
      do throws(ProtocolError) {
        return .success(try body(raw))
      } catch {
        return .failure(error)
      }
    }
    return try result.get()
  }
}
