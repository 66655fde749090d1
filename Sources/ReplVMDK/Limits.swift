import ReplModel

/// Every limit of this module, with its reason.
enum Limits {
  /// VirtualBox's allowance, the largest of the known readers; real ones are under 20 KiB.
  static let descriptorBytes: Int64 = 10 << 20
  /// Far above the 31,744 extents of 62 TB in 2 GB pieces, and little memory.
  static let descriptorLines = 64 << 10
  /// Workstation's largest disk, 8 TB, has 4,100 pieces of 2 GB. Each piece is an open file descriptor.
  static let extents = 8192
  /// A path below a VM's folder; Linux names have at most 255 bytes a component.
  static let extentNameBytes = 1024
  /// A `ddb.uuid` has 47 characters; nothing that is kept is longer than a few numbers.
  static let factValueBytes = 128
  /// QEMU leaves the end of the old text behind the NUL when a new content ID has fewer digits (1 to 8).
  static let staleBytes = 7
  /// A disk with more oddities than this is no clearer for naming them all.
  static let warnings = 100
  /// Sectors of 512 bytes in the largest disk that a page grid can describe.
  static let diskSectors = PageGrid.maximumSizeBytes / sectorBytes
  /// QEMU refuses grains over 1 GiB as well. Nothing is allocated per grain.
  static let grainSectors: UInt64 = 1 << 21
  /// One sector of entries at least, and what every known writer uses at most.
  static let tableEntries: ClosedRange<UInt32> = 128...512
  /// 4 KiB of a grain directory: the unit in which it is read and kept.
  static let directoryBlockEntries = 1024
  /// 256 blocks of 4 KiB: 1 MiB, the directory of 8 TiB in 64 KiB grains.
  static let cachedDirectoryBlocks = 256
  /// 1,536 tables of at most 2 KiB: 3 MiB, the tables of 48 GiB in 64 KiB grains.
  static let cachedTables = 1536
  /// Where an answer about allocated ranges ends although the next byte is allocated too: a caller that asks
  /// again and again must not make us walk the rest of the disk each time.
  static let allocatedRangeBytes: Int64 = 1 << 30
  /// The unit of everything in a VMDK.
  static let sectorBytes: Int64 = 512
}
