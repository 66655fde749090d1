import ReplIO

/// One link of a disk's chain: the disk's own descriptor, or that of a parent.
public struct VMDKLink: Sendable {
  /// Of the descriptor: beneath the VM's folder, or absolute.
  public let path: String
  public let createType: VMDKCreateType
  /// `CID`.
  public let contentID: UInt32
  /// Nil at the end of the chain.
  public let parentContentID: UInt32?
  /// The same in every link of a chain.
  public let sizeBytes: Int64
  /// Descriptor and extents.
  public let files: [VMDKFile]
  let extents: [any LinkExtent]

  /// Bytes of the disk that this link holds data for: blocks in use of flat files, counted grains of sparse
  /// ones. Reads tables, never data; takes long for large sparse disks.
  public func allocatedBytes() throws(IOError) -> Int64 {
    var sum: Int64 = 0
    for extent in extents { sum += try extent.allocatedBytes() }
    return sum
  }
}
