/// One extent line of a descriptor: `ACCESS SECTORS TYPE ["FILE" [OFFSET ...]]` (VMware, Virtual Disk Format
/// 5.0).
public struct VMDKExtentLine: Hashable, Sendable {
  /// The access keyword.
  public enum Access: String, Sendable, CaseIterable {
    case readWrite = "RW"
    case readOnly = "RDONLY"
    case none = "NOACCESS"
  }

  /// The extent keyword.
  public enum Kind: String, Sendable, CaseIterable {
    case flat = "FLAT"
    case sparse = "SPARSE"
    case zero = "ZERO"
    case vmfs = "VMFS"
    case vmfsSparse = "VMFSSPARSE"
    case vmfsRDM = "VMFSRDM"
    case vmfsRaw = "VMFSRAW"
    case seSparse = "SESPARSE"
    case vsanSparse = "VSANSPARSE"
  }

  public let access: Access
  /// Sectors of 512 bytes, more than 0.
  public let sectorCount: Int64
  public let kind: Kind
  /// As written, relative to the descriptor's folder; nil for ZERO only.
  public let fileName: String?
  /// Where the extent starts in its file, in sectors; nil when the line does not say.
  public let offsetSectors: Int64?
  /// The line goes on after the offset: a partition or device is named.
  public let namesDevice: Bool
  /// Line of the descriptor, from 1.
  public let line: Int
  /// The bytes of the name as they stand in the descriptor, when they are not the UTF-8 of `fileName`.
  var rawFileName: [UInt8]?
}
