import ReplModel

/// The text that describes a VMDK: its kind, its extents and the disk data base.
///
/// Read leniently where VMware's own tools differ (case, line ends, padding, a missing signature), and
/// refused where two readers could understand two different disks.
public struct VMDKDescriptor: Sendable {
  /// 1, 2 or 3; 3 means that changed blocks are tracked, and is otherwise read as 1.
  public let version: Int
  /// `CID`: changes when the disk is written after it was opened.
  public let contentID: UInt32
  /// Nil when the disk has no parent.
  public let parentContentID: UInt32?
  public let parentFileNameHint: String?
  /// The bytes of the hint, when they are not its UTF-8.
  let rawParentFileNameHint: [UInt8]?
  public let createType: VMDKCreateType
  public let changeTrackPath: String?
  /// The extents hold ciphertext.
  public let isEncrypted: Bool
  /// In the order of the disk, one after another from sector 0.
  public let extents: [VMDKExtentLine]
  /// The `ddb.` lines as written, keys without `ddb.`.
  public let diskDataBase: [DiskFacts.Entry]

  /// The sum of the extents, in sectors of 512 bytes.
  public let sectorCount: Int64

  /// Reads a descriptor.
  /// - Parameters:
  ///   - bytes: the whole text; NUL padding at the end is ignored.
  ///   - path: for messages.
  public static func parse(_ bytes: [UInt8], path: String) throws(VMDKError) -> VMDKDescriptor {
    var parser = try DescriptorParser(bytes, path: path)
    return try parser.parse()
  }

  /// `# Disk DescriptorFile`, in any case and spacing.
  static func isSignature(_ comment: some Collection<UInt8>) -> Bool {
    let letters = comment.filter { $0 != UInt8(ascii: " ") && $0 != UInt8(ascii: "\t") }
    return letters.count == 19
      && String(decoding: letters, as: UTF8.self).lowercased() == "#diskdescriptorfile"
  }
}
