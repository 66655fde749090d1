import ReplModel

/// Sizes, numbers and the file header of record files (`JournalFormat`).
enum RecordFormat {
  static let version = 1
  static let alignment = 512
  static let fileHeaderFixedBytes = 48
  static let recordHeaderBytes = 64
  static let recordMagic: UInt32 = 0x4352_4C56
  static let fileMagic: [UInt8] = Array("VMREPLRF".utf8)

  enum FileKind: UInt16 { case journal = 1, undo = 2 }

  enum RecordType: UInt16 { case batch = 1, file = 2, commit = 3, seal = 4 }

  /// Flag of batch records: page digests are there.
  static let flagDigests: UInt16 = 1

  static func padded(_ count: Int) -> Int { (count + alignment - 1) / alignment * alignment }
}

/// What a record file says of itself.
struct RecordFileHeader: Sendable, Equatable {
  struct Disk: Sendable, Hashable, Codable {
    let disk: DiskID
    let grid: PageGrid
    let keyID: KeyID
  }

  struct Description: Sendable, Hashable, Codable {
    let vm: VMID
    let pass: PassID
    let base: PointReference?
    let disks: [Disk]
  }

  let kind: RecordFormat.FileKind
  /// Random: tells this file's records from those of any other.
  let identity: UInt64
  let description: Description
}

/// The fixed part of a record.
struct RecordHeader: Equatable {
  let type: RecordFormat.RecordType
  let flags: UInt16
  let sequence: UInt64
  let bodyLength: Int
  let identity: UInt64
  let previous: PageDigest
  let checksum: PageDigest

  /// Bytes in the file, padding included.
  var fileBytes: Int { RecordFormat.padded(RecordFormat.recordHeaderBytes + bodyLength) }

  /// Writes everything but the checksum.
  func encode(into buffer: UnsafeMutableRawBufferPointer) {
    buffer.put(RecordFormat.recordMagic, at: 0)
    buffer.put(type.rawValue, at: 4)
    buffer.put(flags, at: 6)
    buffer.put(sequence, at: 8)
    buffer.put(UInt32(bodyLength), at: 16)
    buffer.put(UInt32(0), at: 20)
    buffer.put(identity, at: 24)
    buffer.put(previous, at: 32)
  }

  enum Decoded: Equatable {
    case record(RecordHeader)
    /// Not a record at all, or one with impossible values.
    case nothing
    /// A record of a kind that this version does not know, if its checksum is right.
    case unknown(RecordUnknown)
  }

  static func decode(_ bytes: UnsafeRawBufferPointer) -> Decoded {
    let length = Int(bytes.u32(at: 16))
    guard bytes.u32(at: 0) == RecordFormat.recordMagic, length <= Limits.recordBodyBytes else {
      return .nothing
    }
    let (rawType, flags) = (bytes.u16(at: 4), bytes.u16(at: 6))
    let known = RecordFormat.RecordType(rawValue: rawType)
    let allowedFlags = known == .batch ? RecordFormat.flagDigests : 0
    guard let type = known, flags & ~allowedFlags == 0, bytes.u32(at: 20) == 0 else {
      return .unknown(RecordUnknown(type: rawType, bodyLength: length))
    }
    return .record(
      RecordHeader(
        type: type, flags: flags, sequence: bytes.u64(at: 8), bodyLength: length, identity: bytes.u64(at: 24),
        previous: bytes.digest(at: 32), checksum: bytes.digest(at: 48)))
  }
}

struct RecordUnknown: Equatable {
  let type: UInt16
  let bodyLength: Int
}
