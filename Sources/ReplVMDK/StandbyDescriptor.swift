import ReplIO
import ReplModel

/// The descriptor of a standby disk: a `monolithicFlat` VMDK over one flat file, for VMware's tools and QEMU
/// alike; or a `fullDevice` over a block device.
///
/// It keeps the source's facts (geometry, adapter, `uuid`), has no parent, no change tracking, and a content
/// ID of its own that the caller changes with every pass.
public struct StandbyDescriptor: Sendable {
  public let sizeBytes: Int64
  public let facts: DiskFacts
  public let extentFileName: String
  public let contentID: UInt32
  /// The extent is a block device, and its "file name" an absolute path.
  public let isOnDevice: Bool

  /// - Parameters:
  ///   - sizeBytes: of the disk; `text()` refuses what is not a whole number of sectors of 512 bytes.
  ///   - facts: of the source's disk; entries that are not known or not safe are left out.
  ///   - extentFileName: of the flat file beside the descriptor, a plain name; of a device its path.
  ///   - contentID: `CID`; anything but `ffffffff`, which means "no parent".
  ///   - isOnDevice: whether the disk lies on a block device (`fullDevice`).
  public init(
    sizeBytes: Int64, facts: DiskFacts, extentFileName: String, contentID: UInt32, isOnDevice: Bool = false
  ) {
    self.sizeBytes = sizeBytes
    self.facts = facts
    self.extentFileName = extentFileName
    self.contentID = contentID
    self.isOnDevice = isOnDevice
  }

  /// The same text for the same values.
  public func text() throws(VMDKError) -> String {
    try check()
    // QEMU takes an extent twice when a blank line stands right before it, and finds `createType="` only when
    // written exactly so.
    var lines = [
      "# Disk DescriptorFile", "version=1", "encoding=\"UTF-8\"", "CID=\(Self.hex(contentID))",
      "parentCID=ffffffff",
      "isNativeSnapshot=\"no\"", "createType=\"\(isOnDevice ? "fullDevice" : "monolithicFlat")\"", "",
      "# Extent description",
      "RW \(sizeBytes / Limits.sectorBytes) FLAT \"\(extentFileName)\" 0", "", "# The Disk Data Base", "#DDB",
      "",
    ]
    for entry in diskDataBase() { lines.append("ddb.\(entry.key) = \"\(entry.value)\"") }
    return lines.joined(separator: "\n") + "\n"
  }

  private func check() throws(VMDKError) {
    guard sizeBytes > 0, sizeBytes % Limits.sectorBytes == 0, sizeBytes <= PageGrid.maximumSizeBytes else {
      throw VMDKError(
        .sizeNotInSectors, extentFileName,
        "a VMDK has 1 to 2^37 sectors of \(Limits.sectorBytes) bytes; \(sizeBytes) bytes are not such a size")
    }
    let hasOddCharacter = extentFileName.utf8.contains { $0 < 0x20 || $0 == 0x7F || $0 == UInt8(ascii: "\"") }
    let isNameable = isOnDevice ? extentFileName.hasPrefix("/") : FileName.isPlain(extentFileName)
    guard isNameable, !hasOddCharacter else {
      throw VMDKError(
        .badStandbyName, extentFileName,
        isOnDevice
          ? "a descriptor names a device by its absolute path, without quotes in it"
          : "a descriptor can name only a file beside it, without quotes in the name")
    }
    guard contentID != .max else {
      throw VMDKError(
        .badContentID, extentFileName, "the content ID ffffffff means \"no parent\": take another one")
    }
  }

  // MARK: Disk data base

  private func diskDataBase() -> [DiskFacts.Entry] {
    // Facts come from a peer: the same rules as for the source's descriptor hold here again.
    var entries = KeptFacts(of: facts.entries).facts.entries.filter { $0.key != "longContentID" }
    if !hasGeometry(entries) {
      entries.removeAll { $0.key.hasPrefix("geometry.") }
      entries = StandbyGeometry(sectorCount: sizeBytes / Limits.sectorBytes).entries + entries
    }
    if !entries.contains(where: { $0.key == "adapterType" }) {
      entries.insert(DiskFacts.Entry(key: "adapterType", value: "lsilogic"), at: 0)
    }
    return entries + [DiskFacts.Entry(key: "longContentID", value: longContentID)]
  }

  /// Half a geometry is none.
  private func hasGeometry(_ entries: [DiskFacts.Entry]) -> Bool {
    ["cylinders", "heads", "sectors"].allSatisfy { part in
      entries.contains { $0.key == "geometry.\(part)" && UInt32($0.value) != nil }
    }
  }

  /// 32 hex digits; the last eight are the content ID, as VMware writes it.
  private var longContentID: String {
    let high = Self.scrambled(UInt64(contentID))
    let low = Self.scrambled(high ^ UInt64(bitPattern: sizeBytes))
    return Self.hex(UInt32(high >> 32)) + Self.hex(UInt32(truncatingIfNeeded: high))
      + Self.hex(UInt32(low >> 32)) + Self.hex(contentID)
  }

  /// SplitMix64's finalizer: different content IDs give different long ones, the same give the same.
  private static func scrambled(_ value: UInt64) -> UInt64 {
    var mixed = value &+ 0x9E37_79B9_7F4A_7C15
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }

  private static func hex(_ value: UInt32) -> String {
    HexText.encode((0..<4).map { UInt8(truncatingIfNeeded: value >> UInt32(24 - 8 * $0)) })
  }
}

/// The geometry that VMware gives a disk of a size, for sources that have none.
struct StandbyGeometry {
  let entries: [DiskFacts.Entry]

  /// 64 heads of 32 sectors below 1 GiB, 128 below 2 GiB, else 255 of 63; cylinders rounded down, never
  /// capped (as ESXi writes them), at least 1.
  init(sectorCount: Int64) {
    let (heads, sectors): (Int64, Int64) =
      switch sectorCount {
      case ..<(1 << 21): (64, 32)
      case ..<(1 << 22): (128, 32)
      default: (255, 63)
      }
    let cylinders = max(1, sectorCount / (heads * sectors))
    entries = [("cylinders", cylinders), ("heads", heads), ("sectors", sectors)].map { key, value in
      DiskFacts.Entry(key: "geometry.\(key)", value: String(value))
    }
  }
}
