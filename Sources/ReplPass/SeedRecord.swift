import FoundationEssentials
import ReplDigest
import ReplIO
import ReplModel
import ReplProtocol

/// What the sender remembers of one VM at one receiver: which disks its newest point holds, and how far the
/// first copies of added disks are. Hints only: a pass believes the receiver, and compares everything.
struct SeedRecord: Codable, Hashable, Sendable {
  /// One disk that no point holds yet.
  struct Seed: Codable, Hashable, Sendable {
    let disk: DiskID
    let pageSizeBytes: Int
    /// Where the round goes on.
    var nextLeaf: Int64
    /// How often all of it was gone through.
    var wholeRounds: Int
    /// When it is complete: what the receiver holds of it.
    var root: Root?
  }

  /// Whose answers this is from.
  var receiver: ReceiverID
  var members: [DiskID]
  var seeds: [Seed] = []

  subscript(disk: DiskID) -> Seed? { seeds.first { $0.disk == disk } }

  /// Whether a disk is left out of passes: the newest point does not hold it, and its first copy is not done.
  func defers(_ disk: DiskID) -> Bool { !members.contains(disk) && self[disk]?.root == nil }

  /// Whether the next pass takes in a disk of which the receiver holds `root`.
  func isComplete(_ disk: DiskID, root: Root) -> Bool { self[disk]?.root == root }

  /// Where to go on: at the beginning for a disk that is new or has other pages now.
  func seed(_ disk: DiskID, grid: PageGrid) -> Seed {
    if let known = self[disk], known.pageSizeBytes == grid.pageSizeBytes,
      (0...grid.leafCount).contains(known.nextLeaf), known.wholeRounds >= 0
    {
      return known
    }
    return Seed(disk: disk, pageSizeBytes: grid.pageSizeBytes, nextLeaf: 0, wholeRounds: 0, root: nil)
  }

  mutating func put(_ seed: Seed) {
    seeds.removeAll { $0.disk == seed.disk }
    seeds.append(seed)
  }

  /// The newest point as the receiver told it. What it holds needs no seed any more.
  mutating func enter(members: [DiskID]) {
    self.members = members
    seeds.removeAll { members.contains($0.disk) }
  }
}

extension SourceState {
  private static let recordDirectory = "seeds"
  /// 64 disks of some 200 bytes.
  private static let recordLimitBytes = 64 << 10

  /// The record of a VM at the receiver that has this address. Nil when there is none, or none that can be
  /// read: then everything is learned from the receiver.
  func seedRecord(of vm: VMID, at address: String) -> SeedRecord? {
    // Whatever is wrong with it, the receiver knows.
    let bytes = try? root.openDirectory(Self.recordDirectory)
      .readFile(Self.recordName(vm, address), limitBytes: Self.recordLimitBytes)
    // As above.
    return bytes.flatMap { try? JSONDecoder().decode(SeedRecord.self, from: Data($0)) }
  }

  /// Keeps the record durably, when it is another one than before.
  func keep(_ record: SeedRecord, of vm: VMID, at address: String) throws(PassError) {
    if seedRecord(of: vm, at: address) == record { return }
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys]
    // Why it failed would not matter: it never does.
    guard let data = try? encoder.encode(record) else { preconditionFailure("a record is always encodable") }
    do throws(IOError) {
      let directory = try root.createDirectory(Self.recordDirectory)
      try directory.replaceFile(Self.recordName(vm, address), with: Array(data))
      // The directory may be new.
      try root.sync()
    } catch { throw .io(error) }
  }

  /// The receiver's identity is known only when it has answered, and the offer comes before.
  private static func recordName(_ vm: VMID, _ address: String) -> String {
    "\(vm)-\(HexText.encode(Array(SHA256Hasher.hash(Array(address.utf8)).bytes.prefix(8)))).json"
  }
}
