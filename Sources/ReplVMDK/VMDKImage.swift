import ReplIO
import ReplModel

/// A virtual disk, read-only: one address space, whatever it is made of. Safe to read from several threads at
/// once.
///
/// The files stay those that were opened for as long as the object lives; what they held then is what it
/// expects.
public final class VMDKImage: BlockReadable {
  public let sizeBytes: Int64
  /// The chain: the disk that was named first, its parents after it.
  public let links: [VMDKLink]
  /// What the standby's descriptor keeps: the disk's own entries, and its parents' where it has none.
  public let facts: DiskFacts
  /// Every file the disk is read from, the one that was named first.
  public let files: [VMDKFile]
  /// A sparse image that is open, or was when its host stopped.
  public let isMarkedInUse: Bool

  let chain: DiskChain
  private let context: ExtentContext
  private let openingWarnings: [String]

  init(_ disk: OpenedDisk) {
    links = disk.links
    chain = DiskChain(disk.links.map { DiskLink($0.extents) })
    sizeBytes = chain.sizeBytes
    precondition(sizeBytes == links[0].sizeBytes, "extents do not add up to the disk")
    var known: Set<DiskFileName> = []
    files = disk.links.flatMap(\.files).filter { known.insert($0.place).inserted }
    facts = disk.facts
    isMarkedInUse = disk.isMarkedInUse
    openingWarnings = disk.warnings
    context = disk.context
  }

  /// What is odd but harmless, a sentence each. Reading may add to them.
  public var warnings: [String] { Array((openingWarnings + context.warnings).prefix(Limits.warnings)) }

  /// Of the disk that was named, not of its parents.
  public var createType: VMDKCreateType { links[0].createType }

  /// `CID` of the disk that was named: changes when it is written after it was opened.
  public var contentID: UInt32 { links[0].contentID }

  /// The disk's own identity, from `ddb.uuid`; nil when there is none (disks made by QEMU, for example).
  public var diskUUID: DiskID? { facts["uuid"].flatMap { DiskID($0) } }

  public func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int64) throws(IOError) {
    guard let range = ByteRange(checkedOffset: offset, length: Int64(buffer.count)), range.end <= sizeBytes
    else {
      throw IOError(
        .unexpectedEnd, "read", path: links[0].path, offsetBytes: offset,
        detail: "the disk has \(sizeBytes) bytes")
    }
    try chain.read(into: buffer, at: offset)
  }

  /// As `BlockReadable` says; a long allocated stretch may come in several adjacent ranges.
  public func allocatedRange(atOrAfter offset: Int64) throws(IOError) -> ByteRange? {
    try chain.allocatedRange(atOrAfter: offset)
  }
}
