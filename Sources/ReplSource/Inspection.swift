import ReplIO
import ReplModel
import ReplVMDK

/// What is known of a VM or of a single disk before it is protected: what it is made of, and whether it can
/// be replicated. Reads descriptors and tables, never data, unless a hash is asked for.
public struct Inspection: Sendable, Encodable {
  /// What was looked at.
  public enum Kind: String, Sendable, Encodable {
    case vm, disk
  }

  /// What a VMX says of its VM.
  public struct VM: Sendable, Encodable {
    /// Nil when the VMX carries no UUID.
    public let id: VMID?
    public let displayName: String
    /// The character set of the VMX.
    public let encoding: String
    public let nvram: String?
    /// From the list beside the VMX (`.vmsd`); 0 when there is none.
    public let snapshots: Int
    /// The lock or swap file that says so; nil when nothing does.
    public let running: String?
  }

  /// The file that was looked at.
  public let path: String
  public let kind: Kind
  /// Of a VMX only.
  public let vm: VM?
  /// Sorted by slot; one without a slot when a disk was looked at alone.
  public let disks: [Disk]
  /// Whether a pass would take it: no problem here, none in a disk, and at least one disk.
  public let protectable: Bool
  /// Why the whole cannot be replicated and what to do, a sentence each.
  public let problems: [String]
  /// What is odd but harmless, a sentence each.
  public let warnings: [String]

  init(
    path: String, kind: Kind, vm: VM? = nil, disks: [Disk] = [], problems: [String] = [],
    warnings: [String] = []
  ) {
    self.path = path
    self.kind = kind
    self.vm = vm
    self.disks = disks
    self.problems = problems
    self.warnings = warnings
    protectable =
      problems.isEmpty && disks.contains { $0.state == .protectable }
      && !disks.contains { $0.state == .refused }
  }
}

extension Inspection {
  /// One disk, with its chain.
  public struct Disk: Sendable, Encodable {
    /// What a pass would make of it.
    public enum State: String, Sendable, Encodable {
      case protectable, refused
      /// By the configuration: not judged.
      case excluded
    }

    /// Nil for a disk that was looked at alone.
    public let slot: DiskSlot?
    /// As the VMX names it; the file's name for a disk alone.
    public let file: String
    /// `independent-persistent`, for example.
    public let mode: String?
    public internal(set) var state: State
    /// Why it cannot be replicated and what to do.
    public internal(set) var problem: String?
    /// `ddb.uuid`; without it the disk is known by its slot.
    public internal(set) var diskUUID: DiskID?
    public internal(set) var createType: String?
    public internal(set) var sizeBytes: Int64?
    /// What may hold anything but zeros, chain and all.
    public internal(set) var allocatedBytes: Int64?
    /// What the files take on their storage.
    public internal(set) var storedBytes: Int64?
    /// A sparse image that is open, or was when its host stopped.
    public internal(set) var markedInUse = false
    /// The disk first, its parents after it.
    public internal(set) var links: [Link] = []
    public internal(set) var warnings: [String] = []
    /// Of the whole virtual content, 64 hex digits; nil when it was not asked for.
    public internal(set) var sha256: String?
    /// Of the files that the guest writes.
    var inodes: Set<Inode> = []
    /// Of its parents, which may be those of other disks too.
    var parentInodes: Set<Inode> = []

    init(slot: DiskSlot?, file: String, mode: String? = nil, state: State = .protectable) {
      self.slot = slot
      self.file = file
      self.mode = mode
      self.state = state
    }

    mutating func refuse(_ sentence: String) {
      state = .refused
      if problem == nil { problem = sentence }
    }

    enum CodingKeys: CodingKey {
      case slot, file, mode, state, problem, diskUUID, createType, sizeBytes, allocatedBytes, storedBytes,
        markedInUse, links, warnings, sha256
    }
  }

  /// One link of a disk's chain.
  public struct Link: Sendable, Encodable {
    /// Of the descriptor.
    public let path: String
    public let createType: String
    /// `CID`, eight hex digits.
    public let contentID: String
    /// Nil at the end of the chain.
    public let parentContentID: String?
    public let sizeBytes: Int64
    /// What this link holds; nil when its tables could not be read.
    public let allocatedBytes: Int64?
    public let files: [File]
  }

  /// A file that a disk is read from.
  public struct File: Sendable, Encodable {
    public let path: String
    /// `descriptor`, `flat`, `sparse` or `device`.
    public let role: String
    public let sizeBytes: Int64
    public let storedBytes: Int64
  }

  /// One file, whatever it is called.
  struct Inode: Hashable, Sendable {
    let device: UInt64
    let number: UInt64
  }
}
