import ReplDigest
import ReplModel

/// The body of a commit record: all that settling needs besides the pages.
struct CommitRecord: Sendable, Hashable, Codable {
  struct Disk: Sendable, Hashable, Codable {
    let facts: DiskFacts
    let dataPages: Int64
    let zeroPages: Int64
  }

  let point: RecoveryPoint
  let displayName: String
  /// In the order of the point's disks.
  let disks: [Disk]
  let vmxHash: Hash256?
  let nvramHash: Hash256?

  func hash(of file: SourceFile) -> Hash256? { file == .vmx ? vmxHash : nvramHash }
}

/// The body of a seal record.
struct SealRecord: Sendable, Hashable, Codable {
  let pages: Int64
}

/// The body of a file record.
struct FileRecord {
  static let fixedBytes = 8 + Hash256.byteCount

  let file: SourceFile
  let hash: Hash256
  let content: UnsafeRawBufferPointer

  static func encodeHead(_ file: SourceFile, hash: Hash256) -> [UInt8] {
    [file.rawValue, 0, 0, 0, 0, 0, 0, 0] + hash.bytes
  }

  /// Nil when the body breaks a rule of the format.
  init?(_ record: Record) {
    let body = record.body
    guard body.count >= Self.fixedBytes, body.count <= Self.fixedBytes + Limits.sourceFileBytes,
      let file = SourceFile(rawValue: body[0]), body[1..<8].allSatisfy({ $0 == 0 }),
      let hash = Hash256(bytes: Array(body.part(8, Hash256.byteCount)))
    else { return nil }
    self.file = file
    self.hash = hash
    content = body.part(Self.fixedBytes, body.count - Self.fixedBytes)
  }
}

extension CommitRecord {
  /// The catalog's disks as the new point has them.
  func settledDisks(_ disks: [CatalogDisk]) -> [CatalogDisk] {
    disks.map { disk in
      var disk = disk
      if let index = point.disks.firstIndex(where: { $0.disk == disk.disk }) {
        let member = point.disks[index]
        (disk.state, disk.slot, disk.keyID) = (.ready, member.slot, member.keyID)
        disk.grid = member.grid
        disk.facts = self.disks[index].facts
      } else if disk.state == .ready {
        disk.state = .detached
      }
      return disk
    }
  }
}
