import ReplDigest
import ReplIO
import ReplModel

/// One verified record. The body is valid until the reader's next call.
struct Record {
  let type: RecordFormat.RecordType
  let flags: UInt16
  let offsetBytes: Int64
  let body: UnsafeRawBufferPointer
}

/// Reads the records of one file in order and stops at the first that does not verify.
final class RecordReader {
  let file: any StorageFile
  let header: RecordFileHeader
  /// End of the last verified record.
  private(set) var endBytes: Int64
  private(set) var previous: PageDigest
  private(set) var nextSequence: UInt64 = 0
  private let firstBytes: Int64
  private let firstChecksum: PageDigest
  private let checksum: RecordChecksum
  private let bufferBytes: Int
  /// Nil while nothing is read: hundreds of undo files may be open at once.
  private var memory: AlignedBuffer?
  private var sizeBytes: Int64

  private init(
    file: any StorageFile, _ read: RecordFileHeader.Read, _ checksum: RecordChecksum
  ) throws(StandbyError) {
    self.file = file
    self.checksum = checksum
    header = read.header
    endBytes = Int64(read.lengthBytes)
    previous = read.checksum
    firstBytes = endBytes
    firstChecksum = read.checksum
    sizeBytes = try storing { () throws(IOError) in try file.currentSizeBytes() }
    let largest = RecordFormat.padded(RecordFormat.recordHeaderBytes + Limits.recordBodyBytes)
    bufferBytes = Int(min(Int64(largest), max(sizeBytes, Int64(RecordFormat.alignment))))
  }

  var holdsBuffer: Bool { memory != nil }

  /// Gives the memory back until the next record is read; the last one is not valid any more.
  func dropBuffer() { memory = nil }

  private func takeBuffer() -> AlignedBuffer {
    if let memory { return memory }
    let fresh = AlignedBuffer(byteCount: bufferBytes)
    memory = fresh
    return fresh
  }

  /// Nil when the file does not begin with a header that verifies: it was never synced.
  static func open(_ file: any StorageFile) throws(StandbyError) -> RecordReader? {
    let checksum = try digesting { () throws(DigestError) in try RecordChecksum() }
    guard let read = try RecordFileHeader.read(from: file, checksum) else { return nil }
    return try RecordReader(file: file, read, checksum)
  }

  /// Starts again with the first record, in the file as it is now: its tail may have been cut off.
  func rewind() throws(StandbyError) {
    sizeBytes = min(sizeBytes, try storing { () throws(IOError) in try file.currentSizeBytes() })
    endBytes = firstBytes
    previous = firstChecksum
    nextSequence = 0
  }

  /// The next record; nil at the first that does not verify, and from then on.
  func next() throws(StandbyError) -> Record? {
    guard let (record, header) = try verifiedRecord(at: endBytes) else { return nil }
    guard header.identity == self.header.identity, header.previous == previous,
      header.sequence == nextSequence
    else { return nil }
    endBytes += Int64(header.fileBytes)
    previous = header.checksum
    nextSequence += 1
    return record
  }

  /// Whether a commit record of this file stands anywhere behind the last verified record. Uses the body
  /// buffer.
  func holdsCommitBehindEnd() throws(StandbyError) -> Bool {
    try Self.holdsCommit(in: file, from: endBytes, identity: header.identity)
  }

  /// Looks at every place where a record can begin for a commit record whose checksum is right; of any file
  /// when `identity` is nil.
  static func holdsCommit(
    in file: any StorageFile, from start: Int64, identity: UInt64?
  ) throws(StandbyError) -> Bool {
    let checksum = try digesting { () throws(DigestError) in try RecordChecksum() }
    let size = try storing { () throws(IOError) in try file.currentSizeBytes() }
    let head = AlignedBuffer(byteCount: RecordFormat.recordHeaderBytes)
    var offset = start
    while offset + Int64(RecordFormat.recordHeaderBytes) <= size {
      try storing { () throws(IOError) in try file.read(into: head.bytes, at: offset) }
      if case .record(let header) = RecordHeader.decode(head.readable), header.type == .commit,
        identity == nil || header.identity == identity,
        try verifies(header, head, in: file, at: offset, size: size, checksum)
      {
        return true
      }
      offset += Int64(RecordFormat.alignment)
    }
    return false
  }

  /// Whether it is certain that no commit follows the last verified record, by the heads alone: for a file
  /// whose bodies cannot be read. Each head names the checksum of the one before, and the last record reaches
  /// to the end of the file.
  func endsWithoutCommit() throws(StandbyError) -> Bool {
    let head = AlignedBuffer(byteCount: RecordFormat.recordHeaderBytes)
    let size = try storing { () throws(IOError) in try file.currentSizeBytes() }
    var (offset, sequence, before) = (endBytes, nextSequence, previous)
    while offset < size {
      guard offset + Int64(RecordFormat.recordHeaderBytes) <= size else { return false }
      try storing { () throws(IOError) in try file.read(into: head.bytes, at: offset) }
      guard case .record(let header) = RecordHeader.decode(head.readable), header.type != .commit,
        header.identity == self.header.identity, header.sequence == sequence, header.previous == before
      else { return false }
      (offset, sequence, before) = (offset + Int64(header.fileBytes), sequence + 1, header.checksum)
    }
    return true
  }

  /// The body of the commit, found by going from head to head: what stands between is not read. For looking
  /// at a journal that somebody else may be writing.
  func peekCommit() throws(StandbyError) -> [UInt8]? {
    let head = AlignedBuffer(byteCount: RecordFormat.recordHeaderBytes)
    let size = try storing { () throws(IOError) in try file.currentSizeBytes() }
    var offset = firstBytes
    while offset + Int64(RecordFormat.recordHeaderBytes) <= size {
      try storing { () throws(IOError) in try file.read(into: head.bytes, at: offset) }
      guard case .record(let header) = RecordHeader.decode(head.readable),
        header.identity == self.header.identity
      else { return nil }
      if header.type == .commit {
        guard try Self.verifies(header, head, in: file, at: offset, size: size, checksum) else { return nil }
        let body = AlignedBuffer(byteCount: header.bodyLength)
        let start = offset + Int64(RecordFormat.recordHeaderBytes)
        try storing { () throws(IOError) in try file.read(into: body.bytes, at: start) }
        return Array(body.readable)
      }
      offset += Int64(header.fileBytes)
    }
    return nil
  }

  private static func verifies(
    _ header: RecordHeader, _ head: AlignedBuffer, in file: any StorageFile, at offset: Int64, size: Int64,
    _ checksum: RecordChecksum
  ) throws(StandbyError) -> Bool {
    guard offset + Int64(RecordFormat.recordHeaderBytes + header.bodyLength) <= size else { return false }
    let body = AlignedBuffer(byteCount: header.bodyLength)
    let bodyOffset = offset + Int64(RecordFormat.recordHeaderBytes)
    try storing { () throws(IOError) in try file.read(into: body.bytes, at: bodyOffset) }
    let digest = try digesting { () throws(DigestError) in
      try checksum.compute([head.readable.part(0, 48), body.readable])
    }
    return digest == header.checksum
  }

  private func verifiedRecord(at offset: Int64) throws(StandbyError) -> (Record, RecordHeader)? {
    let headBytes = RecordFormat.recordHeaderBytes
    guard offset + Int64(headBytes) <= sizeBytes else { return nil }
    let buffer = takeBuffer()
    try storing { () throws(IOError) in try file.read(into: buffer.bytes.part(0, headBytes), at: offset) }
    let decoded = RecordHeader.decode(buffer.readable.part(0, headBytes))
    let bodyLength: Int
    switch decoded {
    case .nothing: return nil
    case .unknown(let unknown): bodyLength = unknown.bodyLength
    case .record(let header): bodyLength = header.bodyLength
    }
    guard offset + Int64(headBytes + bodyLength) <= sizeBytes else { return nil }
    try storing { () throws(IOError) in
      try file.read(into: buffer.bytes.part(headBytes, bodyLength), at: offset + Int64(headBytes))
    }
    let body = buffer.readable.part(headBytes, bodyLength)
    let digest = try digesting { () throws(DigestError) in
      try checksum.compute([buffer.readable.part(0, 48), body])
    }
    guard digest == buffer.readable.digest(at: 48) else { return nil }
    guard case .record(let header) = decoded else {
      throw .newerFormat(path: file.path, found: RecordFormat.version + 1, supported: RecordFormat.version)
    }
    let record = Record(type: header.type, flags: header.flags, offsetBytes: offset, body: body)
    return (record, header)
  }
}
