import ReplModel

/// What the source wants to bring: one pass of one VM with all its disks, or a part of the first copy of
/// disks that were added to it.
public struct Offer: ControlMessage, Hashable {
  public static let type = MessageType.offer

  /// What the session is for.
  public enum Purpose: String, Codable, Sendable, CaseIterable {
    /// It ends with a commit: a new recovery point of all disks of the offer.
    case pass
    /// It brings pages of disks that no point holds yet, and ends without a commit. Feature `seed`.
    case seed
  }

  /// One disk. Its position in the offer is its index in all later messages.
  public struct Disk: Codable, Hashable, Sendable {
    /// Identity; once in an offer.
    public var disk: DiskID
    /// Attachment; once in an offer.
    public var slot: DiskSlot
    /// Size and page size.
    public var grid: PageGrid
    /// The digest key of its map.
    public var keyID: KeyID
    /// What the standby's descriptor keeps.
    public var facts: DiskFacts

    public init(disk: DiskID, slot: DiskSlot, grid: PageGrid, keyID: KeyID, facts: DiskFacts) {
      self.disk = disk
      self.slot = slot
      self.grid = grid
      self.keyID = keyID
      self.facts = facts
    }
  }

  /// Whose pass this is.
  public var vm: VMID
  /// Data only: never a path, never printed raw.
  public var displayName: String
  /// Names this attempt; kept when the same view is tried again.
  public var pass: PassID
  /// The frozen state that is read.
  public var view: ViewID
  /// When the view was frozen.
  public var frozenAt: WallTime
  /// How consistent the view is.
  public var label: PointLabel
  /// The last epoch that the source knows of this VM.
  public var epoch: Epoch?
  /// 1 to 64.
  public var disks: [Disk]
  /// SHA-256 of the VMX and of the NVRAM as they were at the freeze.
  public var vmxHash: Hash256
  /// Nil: the VM has no NVRAM.
  public var nvramHash: Hash256?
  private var givenPurpose: Purpose?
  /// The source wants a proof after this pass. Feature `proof`; absent means no.
  public var wantsProof: Bool?

  /// What the session is for; a peer without the feature `seed` knows only passes.
  public var purpose: Purpose { givenPurpose ?? .pass }

  enum CodingKeys: String, CodingKey {
    case vm, displayName, pass, view, frozenAt, label, epoch, disks, vmxHash, nvramHash, wantsProof
    case givenPurpose = "purpose"
  }

  public init(
    purpose: Purpose = .pass, vm: VMID, displayName: String, pass: PassID, view: ViewID, frozenAt: WallTime,
    label: PointLabel, epoch: Epoch?, disks: [Disk], vmxHash: Hash256, nvramHash: Hash256?
  ) {
    givenPurpose = purpose == .pass ? nil : purpose
    self.vm = vm
    self.displayName = displayName
    self.pass = pass
    self.view = view
    self.frozenAt = frozenAt
    self.label = label
    self.epoch = epoch
    self.disks = disks
    self.vmxHash = vmxHash
    self.nvramHash = nvramHash
  }

  /// The grids by disk index, for decoding batches and tree requests.
  public var grids: [PageGrid] { disks.map(\.grid) }

  public func validate(_ limits: ProtocolLimits) throws(ProtocolError) {
    try requireName(displayName, "displayName", limits)
    try require(
      (1...limits.disks).contains(disks.count), "disks", "\(disks.count)", expected: "1 to \(limits.disks)")
    var ids: Set<DiskID> = []
    var slots: Set<DiskSlot> = []
    for (index, disk) in disks.enumerated() {
      try require(
        ids.insert(disk.disk).inserted, "disks.\(index).disk", "\(disk.disk) again",
        expected: "each disk once")
      try require(
        slots.insert(disk.slot).inserted, "disks.\(index).slot", "\(disk.slot) again",
        expected: "each slot once")
      try validateFacts(disk.facts, "disks.\(index).facts", limits)
    }
  }

  private func validateFacts(
    _ facts: DiskFacts, _ field: String, _ limits: ProtocolLimits
  ) throws(ProtocolError) {
    try require(
      facts.entries.count <= limits.facts, field, "\(facts.entries.count) entries",
      expected: "at most \(limits.facts)")
    for entry in facts.entries {
      try require(
        (1...limits.factBytes).contains(entry.key.utf8.count) && entry.key.utf8.allSatisfy(Self.isKeyByte),
        "\(field) key", entry.key, expected: "1 to \(limits.factBytes) of A-Z a-z 0-9 . _ -")
      try require(
        entry.value.utf8.count <= limits.factBytes
          && !entry.value.unicodeScalars.contains(where: Self.isUnsafe),
        "\(field) value", entry.value,
        expected: "at most \(limits.factBytes) bytes without quotes, backslashes and control characters")
    }
  }

  private static func isKeyByte(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "z"),
      UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"):
      true
    default: false
    }
  }

  /// Facts end up between quotes in a descriptor, line by line.
  private static func isUnsafe(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.value {
    case 0..<0x20, 0x22, 0x5C, 0x7F..<0xA0, 0x2028, 0x2029: true
    default: false
    }
  }
}
