import ReplIO
import ReplModel

/// What lies on a device, by its first and last bytes: nobody gives a device away without looking.
public struct DeviceInspection: Sendable {
  static let lookedAtBytes: Int64 = 1 << 20

  public let path: String
  public let sizeBytes: Int64
  public let sectorBytes: Int
  /// Nothing but zeros at both ends.
  public let isEmpty: Bool
  /// What it looks like: `ext2/3/4 filesystem`, `zeros`, or its first bytes.
  public let content: String

  public init(_ device: BlockDevice) throws(StandbyError) {
    path = device.path
    (sizeBytes, sectorBytes) = (device.sizeBytes, device.sectorBytes)
    let count = Int(min(Self.lookedAtBytes, device.sizeBytes))
    let buffer = AlignedBuffer(byteCount: count)
    var head: [UInt8] = []
    var isEmpty = true
    for offset in [0, device.sizeBytes - Int64(count)] {
      try storing { () throws(IOError) in try device.file.read(into: buffer.bytes, at: offset) }
      if offset == 0 { head = Array(buffer.readable) }
      if !buffer.readable.allSatisfy({ $0 == 0 }) { isEmpty = false }
    }
    self.isEmpty = isEmpty
    content = isEmpty ? "zeros" : Self.describe(head)
  }

  private struct Signature {
    let offset: Int
    let bytes: [UInt8]
    let name: String
  }

  /// From the formats' own documents; as in `wipefs(8)`.
  private static let signatures = [
    Signature(offset: 1080, bytes: [0x53, 0xEF], name: "ext2/3/4 filesystem"),
    Signature(offset: 0, bytes: Array("XFSB".utf8), name: "XFS filesystem"),
    Signature(offset: 0x10040, bytes: Array("_BHRfS_M".utf8), name: "btrfs filesystem"),
    Signature(offset: 3, bytes: Array("NTFS    ".utf8), name: "NTFS filesystem"),
    Signature(offset: 3, bytes: Array("EXFAT   ".utf8), name: "exFAT filesystem"),
    Signature(offset: 0, bytes: Array("LUKS".utf8) + [0xBA, 0xBE], name: "LUKS encrypted volume"),
    Signature(offset: 512, bytes: Array("LABELONE".utf8), name: "LVM physical volume"),
    Signature(offset: 4086, bytes: Array("SWAPSPACE2".utf8), name: "swap space"),
    Signature(offset: 512, bytes: Array("EFI PART".utf8), name: "GPT partition table"),
    Signature(offset: 4096, bytes: Array("EFI PART".utf8), name: "GPT partition table"),
    Signature(offset: 510, bytes: [0x55, 0xAA], name: "MBR partition table or boot sector"),
  ]

  private static func describe(_ head: [UInt8]) -> String {
    let found = signatures.first { head.dropFirst($0.offset).starts(with: $0.bytes) }
    if let found { return found.name }
    return "unknown data beginning with \(HexText.encode(head.prefix(16)))"
  }
}
