import ReplCompression
import ReplModel

/// What a source offers to bring: one view of all disks of a VM.
public struct PassOffer: Sendable {
  /// One disk of the offer.
  public struct Disk: Sendable, Hashable {
    public let disk: DiskID
    public let slot: DiskSlot
    public let grid: PageGrid
    public let keyID: KeyID
    public let facts: DiskFacts

    public init(disk: DiskID, slot: DiskSlot, grid: PageGrid, keyID: KeyID, facts: DiskFacts) {
      self.disk = disk
      self.slot = slot
      self.grid = grid
      self.keyID = keyID
      self.facts = facts
    }
  }

  public let vm: VMID
  public let displayName: String
  /// The configured name of the peer that offers, from its authenticated identity.
  public let owner: String
  public let pass: PassID
  public let frozenAt: WallTime
  public let label: PointLabel
  /// The epoch that the source knows; nil when it knows none.
  public let epoch: Epoch?
  public let disks: [Disk]
  public let vmxHash: Hash256?
  public let nvramHash: Hash256?

  public init(
    vm: VMID, displayName: String, owner: String, pass: PassID, frozenAt: WallTime, label: PointLabel,
    epoch: Epoch?, disks: [Disk], vmxHash: Hash256?, nvramHash: Hash256?
  ) {
    self.vm = vm
    self.displayName = displayName
    self.owner = owner
    self.pass = pass
    self.frozenAt = frozenAt
    self.label = label
    self.epoch = epoch
    self.disks = disks
    self.vmxHash = vmxHash
    self.nvramHash = nvramHash
  }

  func hash(of file: SourceFile) -> Hash256? { file == .vmx ? vmxHash : nvramHash }

  /// What an offer must be, whatever the standby is.
  func check() throws(StandbyError) {
    guard !disks.isEmpty, disks.count <= Limits.disksPerVM else {
      throw .badOffer(detail: "\(disks.count) disks, allowed are 1 to \(Limits.disksPerVM)")
    }
    guard displayName.utf8.count <= Limits.displayNameBytes else {
      throw .badOffer(detail: "a display name of \(displayName.utf8.count) bytes")
    }
    guard Set(disks.map(\.disk)).count == disks.count else {
      throw .badOffer(detail: "a disk is there twice")
    }
    guard Set(disks.map(\.slot)).count == disks.count else {
      throw .badOffer(detail: "two disks in one slot")
    }
    for disk in disks where disk.facts.byteCount > Limits.factBytesPerDisk {
      throw .badOffer(
        detail: "\(disk.slot) has facts of \(disk.facts.byteCount) bytes, at most "
          + "\(Limits.factBytesPerDisk) are allowed")
    }
    let facts = disks.flatMap(\.facts.entries)
    let factBytes = disks.reduce(0) { $0 + $1.facts.byteCount }
    guard facts.count <= disks.count * Limits.factsPerDisk, factBytes <= Limits.factBytes else {
      throw .badOffer(detail: "\(facts.count) facts of \(factBytes) bytes for \(disks.count) disks")
    }
  }
}

extension DiskFacts {
  fileprivate var byteCount: Int { entries.reduce(0) { $0 + $1.key.utf8.count + $1.value.utf8.count } }
}

/// One batch as it came from the peer; nothing of it has been believed yet.
public struct ReceivedBatch {
  /// Index in the offer's list.
  public let diskIndex: Int
  public let codec: Codec
  public let runs: [PageRun]
  /// Bytes of all data runs.
  public let rawLength: Int
  /// The digest over the page digests of the data runs, in order.
  public let digest: PageDigest
  /// Compressed bytes of the data runs; only read during the call that it is given to.
  public let payload: UnsafeRawBufferPointer

  public init(
    diskIndex: Int, codec: Codec, runs: [PageRun], rawLength: Int, digest: PageDigest,
    payload: UnsafeRawBufferPointer
  ) {
    self.diskIndex = diskIndex
    self.codec = codec
    self.runs = runs
    self.rawLength = rawLength
    self.digest = digest
    self.payload = payload
  }
}

/// What the source says at the end: what it has sent in this pass, and what the disks must be now.
public struct CommitClaims: Sendable {
  /// One disk, in the order of the offer.
  public struct Disk: Sendable, Hashable {
    public let root: Root
    /// Pages in the data and zero runs of all batches of this pass that were accepted.
    public let dataPages: Int64
    public let zeroPages: Int64

    public init(root: Root, dataPages: Int64, zeroPages: Int64) {
      self.root = root
      self.dataPages = dataPages
      self.zeroPages = zeroPages
    }
  }

  /// In the order of the offer.
  public let disks: [Disk]

  public init(disks: [Disk]) { self.disks = disks }
}
