import ReplModel

/// What one side says of the disks of a recovery point after it has read every byte of them again. The page
/// ProofStatement describes the text that is made of it and signed.
public struct ProofClaim: Codable, Hashable, Sendable {
  /// Why a disk could not be read to its end.
  public struct Unreadable: Codable, Hashable, Sendable {
    /// The first byte that could not be read; nil when it is not known or the disk could not be opened.
    public var offsetBytes: Int64?
    /// `errno`; nil when it was something else.
    public var systemCode: Int32?
    /// For people, printable.
    public var cause: String

    /// The cause is made printable and cut.
    public init(offsetBytes: Int64?, systemCode: Int32?, cause: String) {
      self.offsetBytes = offsetBytes
      self.systemCode = systemCode
      self.cause = SafeText.printable(cause)
    }
  }

  /// Pages whose digest is not the one in the digest map of the reading side: a clue where to look, never
  /// what the verdict is made from.
  public struct Differing: Codable, Hashable, Sendable {
    /// How many there are.
    public var pages: Int64
    /// Where the first ones begin, in bytes.
    public var offsetsBytes: [Int64]

    public init(pages: Int64, offsetsBytes: [Int64]) {
      self.pages = pages
      self.offsetsBytes = offsetsBytes
    }
  }

  /// One disk.
  public struct Disk: Codable, Hashable, Sendable {
    public var disk: DiskID
    public var slot: DiskSlot
    public var grid: PageGrid
    /// The digest key under which the root was made.
    public var keyID: KeyID
    /// Of a digest map made anew from every byte; nil when the disk could not be read to its end.
    public var root: Root?
    /// Of the disk's bytes from first to last, holes as zeros; nil as above.
    public var sha256: Hash256?
    public var unreadable: Unreadable?
    public var differing: Differing?
    /// From the target only.
    public var verdict: ProofVerdict?

    public init(
      disk: DiskID, slot: DiskSlot, grid: PageGrid, keyID: KeyID, root: Root?, sha256: Hash256?,
      unreadable: Unreadable? = nil, differing: Differing? = nil
    ) {
      self.disk = disk
      self.slot = slot
      self.grid = grid
      self.keyID = keyID
      self.root = root
      self.sha256 = sha256
      self.unreadable = unreadable
      self.differing = differing
    }
  }

  /// Who says it.
  public var role: SessionRole
  public var vm: VMID
  /// The VM's name, printable.
  public var name: String
  public var receiver: ReceiverID
  public var point: PointReference
  /// The pass that brought the point.
  public var pass: PassID
  /// When the source's view was frozen, by the source's clock.
  public var frozenAt: WallTime
  /// When this side began to read and when it was done, by its own clock.
  public var readFrom: WallTime
  public var readUntil: WallTime
  /// Of the key that signs.
  public var fingerprint: Fingerprint
  /// SHA-256 of the text that the source signed; from the target only.
  public var answers: Hash256?
  /// The disks of the point, in its order.
  public var disks: [Disk]

  /// The name is made printable and cut.
  public init(
    role: SessionRole, vm: VMID, name: String, receiver: ReceiverID, point: PointReference, pass: PassID,
    frozenAt: WallTime, readFrom: WallTime, readUntil: WallTime, fingerprint: Fingerprint, answers: Hash256?,
    disks: [Disk]
  ) {
    self.role = role
    self.vm = vm
    self.name = SafeText.printable(name)
    self.receiver = receiver
    self.point = point
    self.pass = pass
    self.frozenAt = frozenAt
    self.readFrom = readFrom
    self.readUntil = readUntil
    self.fingerprint = fingerprint
    self.answers = answers
    self.disks = disks
  }
}

extension ProofClaim.Disk {
  /// What two readings of a disk say together.
  public static func verdict(source: Self, target: Self) -> ProofVerdict {
    guard source.grid == target.grid, source.keyID == target.keyID else { return .differing }
    guard let root = source.root, let sha256 = source.sha256, let ours = target.root,
      let hash = target.sha256
    else { return .inconclusive }
    return root == ours && sha256 == hash ? .identical : .differing
  }
}
