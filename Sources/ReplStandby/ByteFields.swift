import ReplModel

/// Fields of a record, little-endian, at any offset. Callers have checked that the buffer is long enough.
extension UnsafeRawBufferPointer {
  func u16(at offset: Int) -> UInt16 {
    UInt16(littleEndian: loadUnaligned(fromByteOffset: offset, as: UInt16.self))
  }

  func u32(at offset: Int) -> UInt32 {
    UInt32(littleEndian: loadUnaligned(fromByteOffset: offset, as: UInt32.self))
  }

  func u64(at offset: Int) -> UInt64 {
    UInt64(littleEndian: loadUnaligned(fromByteOffset: offset, as: UInt64.self))
  }

  func digest(at offset: Int) -> PageDigest { PageDigest(low: u64(at: offset), high: u64(at: offset + 8)) }

  func part(_ offset: Int, _ count: Int) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(rebasing: self[offset..<(offset + count)])
  }
}

extension UnsafeMutableRawBufferPointer {
  func put(_ value: some FixedWidthInteger, at offset: Int) {
    Swift.withUnsafeBytes(of: value.littleEndian) {
      UnsafeMutableRawBufferPointer(rebasing: self[offset..<(offset + $0.count)]).copyMemory(from: $0)
    }
  }

  func put(_ digest: PageDigest, at offset: Int) {
    put(digest.low, at: offset)
    put(digest.high, at: offset + 8)
  }

  func put(_ bytes: UnsafeRawBufferPointer, at offset: Int) {
    UnsafeMutableRawBufferPointer(rebasing: self[offset..<(offset + bytes.count)]).copyMemory(from: bytes)
  }

  func part(_ offset: Int, _ count: Int) -> UnsafeMutableRawBufferPointer {
    UnsafeMutableRawBufferPointer(rebasing: self[offset..<(offset + count)])
  }

  func clear(_ offset: Int, _ count: Int) {
    _ = part(offset, count).initializeMemory(as: UInt8.self, repeating: 0)
  }
}

extension PageDigest {
  /// As it stands in files: both words little-endian.
  var bytes: [UInt8] {
    withUnsafeBytes(of: low.littleEndian) { Array($0) } + withUnsafeBytes(of: high.littleEndian) { Array($0) }
  }
}

extension RandomAccessCollection<UInt8> {
  /// As `withUnsafeBytes`, which forgets the type of what is thrown.
  func reading<Value, Failure: Error>(
    _ body: (UnsafeRawBufferPointer) throws(Failure) -> Value
  ) throws(Failure) -> Value {
    let result: Result<Value, Failure>? = withContiguousStorageIfAvailable { buffer in
      do throws(Failure) { return .success(try body(UnsafeRawBufferPointer(buffer))) } catch {
        return .failure(error)
      }
    }
    guard let result else { preconditionFailure("only arrays and their slices are read in place") }
    return try result.get()
  }
}
