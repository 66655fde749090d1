import ReplModel

/// Names of files and directories in a store, in one place. None of them comes from a peer unchanged.
enum StandbyLayout {
  static let storeFile = ".repl-store"
  static let createLock = ".repl-create"
  /// Never made: asked for to see whether the store answers.
  static let absentFile = ".repl-answer"
  static let settlingFile = "SETTLING.txt"
  static let privateDirectory = ".repl"
  static let catalog = "catalog"
  /// Pages that the standby wants again.
  static let wanted = "wanted"
  static let lock = "lock"
  static let failoverRequest = "failover-request"
  /// How far a failover is; written by `ReplFailover`.
  static let failoverProgress = "failover.json"
  /// Beside the maps, in the state directory.
  static let fenceNote = "fenced"
  static let journalDirectory = "journal"
  static let journalSuffix = ".journal"
  static let pointsDirectory = "points"
  static let undoSuffix = ".undo"
  /// An undo file that is not sealed yet.
  static let unsealedSuffix = ".undo.new"
  /// VMX and NVRAM files of all kept points, by the hash of their content.
  static let filesDirectory = "files"
  /// Where format 1 kept those of the newest point.
  static let sourceVMX = "source.vmx"
  static let sourceNVRAM = "source.nvram"
  /// How far the standing verification of a standby is, beside its maps.
  static let verifyRound = "verify-round"
  static let mapsDirectory = "maps"
  static let keysDirectory = "keys"

  static func journal(of pass: PassID) -> String { "\(pass)\(journalSuffix)" }
  static func undo(backTo point: PointReference) -> String { "\(point)\(undoSuffix)" }
  static func unsealedUndo(backTo point: PointReference) -> String { "\(point)\(unsealedSuffix)" }
  static func flatFile(stem: String) -> String { "\(stem)-flat.vmdk" }
  static func map(of disk: DiskID) -> String { "\(disk).map" }
  static func delta(of disk: DiskID) -> String { "\(disk).delta" }
  /// The map of a disk whose first copy is being written.
  static func seedMap(of disk: DiskID) -> String { "\(disk).seed" }
  /// How far such a disk was read again after a crash.
  static func seedPosition(of disk: DiskID) -> String { "\(disk).reading" }
  /// The map of a grown disk while the pass is in flight that makes it larger.
  static func wideMap(of disk: DiskID) -> String { "\(disk).wide" }
  /// The map of a disk that is verified while its own is lost.
  static func proofMap(of disk: DiskID) -> String { "\(disk).proof" }
  /// An empty file that shows whether the store can have one of a grown disk's size.
  static let growthProbe = "growth.probe"
  static func key(_ key: KeyID) -> String { "\(key).key" }
  static func source(_ file: SourceFile) -> String { file == .vmx ? sourceVMX : sourceNVRAM }

  /// `<slug>-<first 8 digits of the standby's identity>`.
  static func directory(slug: String, standby: StandbyID) -> String {
    "\(slug)-\(HexText.encode(standby.bytes.prefix(4)))"
  }

  /// Whether a name in the store's root can be a standby's: others (`lost+found`) are none of ours.
  static func isStandbyDirectory(_ name: String) -> Bool {
    guard let dash = name.lastIndex(of: "-") else { return false }
    let (slug, digits) = (String(name[..<dash]), name[name.index(after: dash)...])
    return !slug.isEmpty && self.slug(of: slug) == slug && digits.utf8.count == 8
      && digits.utf8.allSatisfy { HexText.value($0) != nil }
  }

  /// The display name reduced to `[A-Za-z0-9._-]`: other characters become one `-`, none leads or ends.
  static func slug(of displayName: String) -> String {
    var slug: [UInt8] = []
    for byte in displayName.utf8 {
      if isSlugByte(byte) {
        slug.append(byte)
      } else if slug.last != UInt8(ascii: "-") {
        slug.append(UInt8(ascii: "-"))
      }
    }
    let edges: [UInt8] = [UInt8(ascii: "-"), UInt8(ascii: ".")]
    let trimmed = slug.drop { edges.contains($0) }.prefix(Limits.slugCharacters)
    let end = trimmed.lastIndex { !edges.contains($0) }
    guard let end else { return "vm" }
    return String(decoding: trimmed[...end], as: UTF8.self)
  }

  private static func isSlugByte(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"):
      true
    default: false
    }
  }
}

extension IdentityOf {
  public enum Standby {}
}

/// One standby in a store: given by the receiver at creation, independent of the VM's identity and name.
public typealias StandbyID = Identifier<IdentityOf.Standby>
