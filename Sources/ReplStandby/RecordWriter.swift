import ReplDigest
import ReplIO
import ReplModel

/// Appends records to one record file. One user at a time.
final class RecordWriter {
  let file: any StorageFile
  let header: RecordFileHeader
  /// Where the next record goes.
  private(set) var endBytes: Int64
  private var previous: PageDigest
  private var sequence: UInt64
  private let checksum: RecordChecksum
  private let buffer: AlignedBuffer
  /// Something was appended that no sync has made durable.
  private(set) var isDirty = false
  /// From where on the storage has not been asked to begin writing.
  private var unstartedFrom: Int64

  private init(
    file: any StorageFile, header: RecordFileHeader, endBytes: Int64, previous: PageDigest, sequence: UInt64
  ) throws(StandbyError) {
    self.file = file
    self.header = header
    self.endBytes = endBytes
    unstartedFrom = endBytes
    self.previous = previous
    self.sequence = sequence
    checksum = try digesting { () throws(DigestError) in try RecordChecksum() }
    buffer = AlignedBuffer(
      byteCount: RecordFormat.padded(RecordFormat.recordHeaderBytes + Limits.recordBodyBytes))
  }

  /// Makes the file; header and name are durable when this returns.
  static func create(
    _ name: String, in directory: any StorageDirectory, header: RecordFileHeader
  ) throws(StandbyError) -> RecordWriter {
    let checksum = try digesting { () throws(DigestError) in try RecordChecksum() }
    let (bytes, digest) = try header.encode(checksum)
    let file = try storing { () throws(IOError) in
      let file = try directory.openFile(name, .createNew)
      try bytes.reading { (buffer) throws(IOError) in try file.write(buffer, at: 0) }
      try file.sync()
      try directory.sync()
      return file
    }
    return try RecordWriter(
      file: file, header: header, endBytes: Int64(bytes.count), previous: digest, sequence: 0)
  }

  /// Goes on after the last record that `reader` verified. What follows is cut off, durably: a record that a
  /// crash left there must not be reachable again behind new ones.
  static func resume(
    after reader: RecordReader, in directory: any StorageDirectory
  ) throws(StandbyError) -> RecordWriter {
    try storing { () throws(IOError) in
      if try reader.file.currentSizeBytes() > reader.endBytes {
        try reader.file.truncate(to: reader.endBytes)
      }
      // Also what a killed program appended and never synced becomes durable here, before anything builds on
      // it.
      try reader.file.sync()
      try directory.sync()
    }
    return try RecordWriter(
      file: reader.file, header: reader.header, endBytes: reader.endBytes, previous: reader.previous,
      sequence: reader.nextSequence)
  }

  /// Appends one record. After an error nothing of it counts; the file still ends with the record before.
  func append(
    _ type: RecordFormat.RecordType, flags: UInt16 = 0, _ parts: [UnsafeRawBufferPointer]
  ) throws(StandbyError) {
    let length = parts.reduce(0) { $0 + $1.count }
    precondition(length <= Limits.recordBodyBytes, "a record of \(length) bytes")
    let record = RecordHeader(
      type: type, flags: flags, sequence: sequence, bodyLength: length, identity: header.identity,
      previous: previous, checksum: .zero)
    let bytes = buffer.bytes
    record.encode(into: bytes)
    var offset = RecordFormat.recordHeaderBytes
    for part in parts {
      bytes.put(part, at: offset)
      offset += part.count
    }
    let digest = try digesting { () throws(DigestError) in
      try checksum.compute([
        buffer.readable.part(0, 48), buffer.readable.part(RecordFormat.recordHeaderBytes, length),
      ])
    }
    bytes.put(digest, at: 48)
    bytes.clear(offset, record.fileBytes - offset)
    isDirty = true
    try storing { () throws(IOError) in
      try file.write(buffer.readable.part(0, record.fileBytes), at: endBytes)
    }
    endBytes += Int64(record.fileBytes)
    // The sync that ends a span then waits for its last piece, not for all of it.
    if endBytes - unstartedFrom >= Limits.startWritingBytes {
      file.startWriting(ByteRange(offset: unstartedFrom, length: endBytes - unstartedFrom))
      unstartedFrom = endBytes
    }
    previous = digest
    sequence += 1
  }

  /// Makes everything appended durable. A failure is final: the caller drops the file.
  func sync() throws(StandbyError) {
    guard isDirty else { return }
    try storing { () throws(IOError) in try file.sync() }
    isDirty = false
  }
}
