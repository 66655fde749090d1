import FoundationEssentials
import ReplDigest
import ReplModel

/// What hints of the next pass of one VM start from: written after a commit, and right only while the base is
/// that very recovery point.
struct HintRecord: Codable, Hashable, Sendable {
  /// One disk of the point.
  struct Disk: Codable, Hashable, Sendable {
    let disk: DiskID
    let slot: DiskSlot
    let grid: PageGrid
    /// How far the audit has come.
    let turn: HintAudit.Turn
    let token: Token
  }

  /// What the provider needs to know of a disk; each fills in its own.
  struct Token: Codable, Hashable, Sendable {
    /// As the VMX named the disk (reflink).
    var fileName: String?
    /// Of the chain, the base first (chain).
    var links: [Link]?
    /// To ask with (command).
    var changeID: String?
  }

  /// One link of a chain.
  struct Link: Codable, Hashable, Sendable {
    let files: [File]
    let contentID: UInt32
    /// Its times were old enough for a later write to show in them.
    let isSettled: Bool
    /// Offset and length, in turn, of what the link hid from its parents; empty for the base.
    let present: [Int64]
  }

  /// What tells a file from one that was written or replaced.
  struct File: Codable, Hashable, Sendable {
    let path: String
    let inode: UInt64
    let sizeBytes: Int64
    let modifiedNanoseconds: Int64
    let changedNanoseconds: Int64
  }

  /// The clones that are kept (reflink).
  struct Kept: Codable, Hashable, Sendable {
    let tag: String
    let since: WallTime
    let clones: [Clone]
    /// What they would take if nothing were shared.
    let allocatedBytes: Int64
  }

  /// One of them, and the file that it is a clone of.
  struct Clone: Codable, Hashable, Sendable {
    let directory: String
    let name: String
    let folder: FreezeRecord.CloneFolder
    let cloneName: String
  }

  static let currentVersion = 1

  let version: Int
  let receiver: ReceiverID
  let vm: VMID
  /// `HintSettings.Provider.identity`.
  let provider: String
  let reference: PointReference
  let pass: PassID
  let disks: [Disk]
  let kept: Kept?

  init(
    receiver: ReceiverID, vm: VMID, provider: String, reference: PointReference, pass: PassID, disks: [Disk],
    kept: Kept?
  ) {
    version = Self.currentVersion
    self.receiver = receiver
    self.vm = vm
    self.provider = provider
    self.reference = reference
    self.pass = pass
    self.disks = disks
    self.kept = kept
  }
}

/// Disks whose hints were found wrong, until an operator trusts them again or they come from elsewhere.
struct HintDistrust: Codable, Hashable, Sendable {
  /// One disk.
  struct Entry: Codable, Hashable, Sendable {
    let disk: DiskID
    let slot: DiskSlot
    /// `HintSettings.Provider.identity`.
    let provider: String
    let at: WallTime
    /// Bytes on the disk.
    let offset: Int64
  }

  var entries: [Entry] = []
  /// Contradictions since the beginning.
  var count: UInt64 = 0

  /// Takes the place of what was known of the disk and came from elsewhere, which is judged anew; what the
  /// storage says of its holes is another matter.
  mutating func add(_ entry: Entry) {
    let isOfHoles = entry.provider == ViewHints.holes
    entries.removeAll { $0.disk == entry.disk && ($0.provider == ViewHints.holes) == isOfHoles }
    entries.append(entry)
    count += 1
  }

  func entry(of disk: DiskID, provider: String) -> Entry? {
    entries.first { $0.disk == disk && $0.provider == provider }
  }
}

/// A small file with a checksum: a line with product, kind and SHA-256 of the rest, then JSON.
enum SealedText {
  /// Nil when the bytes are not what was written.
  static func open<Value: Decodable>(_ bytes: [UInt8], as kind: String, _ type: Value.Type) -> Value? {
    guard let end = bytes.firstIndex(of: UInt8(ascii: "\n")) else { return nil }
    let body = Array(bytes[(end + 1)...])
    guard Array(bytes[..<end]) == Array(heading(kind, body).utf8) else { return nil }
    // Why it does not parse makes no difference.
    return try? JSONDecoder().decode(type, from: .init(body))
  }

  static func seal(_ value: some Encodable, as kind: String) -> [UInt8] {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    // Texts and numbers are always encodable.
    guard let data = try? encoder.encode(value) else { preconditionFailure("a record is encodable") }
    let body = Array(data)
    return Array("\(heading(kind, body))\n".utf8) + body
  }

  private static func heading(_ kind: String, _ body: [UInt8]) -> String {
    "vmrepl \(kind) sha256:\(SHA256Hasher.hash(body))"
  }
}
