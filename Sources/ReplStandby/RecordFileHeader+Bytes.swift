import ReplDigest
import ReplIO
import ReplModel

extension RecordFileHeader {
  /// The header with padding, and its checksum, to which the first record is tied.
  func encode(_ checksum: RecordChecksum) throws(StandbyError) -> (bytes: [UInt8], checksum: PageDigest) {
    let json = try RecordJSON.encode(description)
    let length = RecordFormat.padded(RecordFormat.fileHeaderFixedBytes + json.count)
    guard length <= Limits.recordFileHeaderBytes else {
      throw .badOffer(detail: "\(description.disks.count) disks do not fit a journal's header")
    }
    let buffer = AlignedBuffer(byteCount: length)
    let bytes = buffer.bytes
    RecordFormat.fileMagic.reading { bytes.put($0, at: 0) }
    bytes.put(UInt16(RecordFormat.version), at: 8)
    bytes.put(kind.rawValue, at: 10)
    bytes.put(UInt32(length), at: 12)
    bytes.put(UInt32(json.count), at: 16)
    bytes.put(identity, at: 24)
    json.reading { bytes.put($0, at: RecordFormat.fileHeaderFixedBytes) }
    let digest = try Self.digest(buffer.readable, jsonLength: json.count, checksum)
    bytes.put(digest, at: 32)
    return (Array(buffer.readable), digest)
  }

  struct Read {
    let header: RecordFileHeader
    let checksum: PageDigest
    let lengthBytes: Int
  }

  /// Nil when the file does not begin with a header that verifies.
  static func read(from file: any StorageFile, _ checksum: RecordChecksum) throws(StandbyError) -> Read? {
    let size = try storing { () throws(IOError) in try file.currentSizeBytes() }
    guard size >= Int64(RecordFormat.alignment) else { return nil }
    let length = try headerLength(of: file)
    guard let length, length <= size else { return nil }
    let buffer = AlignedBuffer(byteCount: length)
    try storing { () throws(IOError) in try file.read(into: buffer.bytes, at: 0) }
    return try decode(buffer.readable, checksum)
  }

  private static func headerLength(of file: any StorageFile) throws(StandbyError) -> Int? {
    let first = AlignedBuffer(byteCount: RecordFormat.alignment)
    try storing { () throws(IOError) in try file.read(into: first.bytes, at: 0) }
    let bytes = first.readable
    guard bytes.prefix(8).elementsEqual(RecordFormat.fileMagic) else { return nil }
    let version = Int(bytes.u16(at: 8))
    // Said before the checksum is asked: a later version may compute it differently.
    if version > RecordFormat.version {
      throw .newerFormat(path: file.path, found: version, supported: RecordFormat.version)
    }
    let length = Int(bytes.u32(at: 12))
    let isPossible = length % RecordFormat.alignment == 0 && length <= Limits.recordFileHeaderBytes
    return isPossible && length > 0 ? length : nil
  }

  private static func decode(
    _ bytes: UnsafeRawBufferPointer, _ checksum: RecordChecksum
  ) throws(StandbyError) -> Read? {
    let jsonLength = Int(bytes.u32(at: 16))
    guard jsonLength <= bytes.count - RecordFormat.fileHeaderFixedBytes else { return nil }
    let digest = try digest(bytes, jsonLength: jsonLength, checksum)
    guard digest == bytes.digest(at: 32), bytes.u32(at: 20) == 0 else { return nil }
    guard let kind = RecordFormat.FileKind(rawValue: bytes.u16(at: 10)) else { return nil }
    let json = Array(bytes.part(RecordFormat.fileHeaderFixedBytes, jsonLength))
    guard let description: Description = RecordJSON.decode(json) else { return nil }
    guard description.disks.count <= Limits.disksPerVM else { return nil }
    let header = RecordFileHeader(kind: kind, identity: bytes.u64(at: 24), description: description)
    return Read(header: header, checksum: digest, lengthBytes: bytes.count)
  }

  private static func digest(
    _ bytes: UnsafeRawBufferPointer, jsonLength: Int, _ checksum: RecordChecksum
  ) throws(StandbyError) -> PageDigest {
    let parts = [bytes.part(0, 32), bytes.part(RecordFormat.fileHeaderFixedBytes, jsonLength)]
    return try digesting { () throws(DigestError) in try checksum.compute(parts) }
  }
}
