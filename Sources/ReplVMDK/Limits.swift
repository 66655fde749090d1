import ReplModel

/// Every limit of this module, with its reason.
enum Limits {
  /// VirtualBox's allowance, the largest of the known readers; real ones are under 20 KiB.
  static let descriptorBytes: Int64 = 10 << 20
  /// Far above the 31,744 extents of 62 TB in 2 GB pieces, and little memory.
  static let descriptorLines = 64 << 10
  /// 62 TB, the largest disk of ESXi, in pieces of 2 GB are 31,744.
  static let extents = 32 << 10
  /// Of all links together, some 300 bytes of memory each: 32 links of Workstation's largest split disk
  /// (8 TB, 4,100 pieces) have 131,200.
  static let chainExtents = 256 << 10
  /// File descriptors of one image: far below the usual limit of 1,024 for one process with several disks.
  static let openFiles = 256
  /// ESXi allows 32; a longer chain of descriptors is one that nobody made on purpose.
  static let chainLinks = 64
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
  /// As in QEMU. With the smallest grains and tables this is 2 TiB, as far as 32 bits of sectors reach.
  static let directoryEntries: UInt64 = 32 << 20
  /// 2 MiB: with its worst growth it still is a block that may be unpacked (4 MiB). Real ones have 64 KiB.
  static let packedGrainSectors: UInt64 = 4096
  /// 1 MiB, the largest grain of an ESXi delta; the default is one sector.
  static let cowdGrainSectors: UInt32 = 2048
  /// For all extents of all links of a disk: the tables of 128 GiB in 64 KiB grains, of 4 GiB of seSparse.
  static let cachedTableBytes = 8 << 20
  /// For all extents of a disk: 64 grains of 64 KiB, a few for each thread that reads.
  static let cachedGrainBytes = 4 << 20
  /// What keeping one value costs besides the value.
  static let cacheEntryBytes = 128
  /// For all extents of a disk: one bit for each grain of their files. The first may take half: a hosted
  /// extent of any size in 64 KiB grains, an ESXi delta of 32 GiB in sectors, 256 GiB of seSparse.
  static let claimBytes = 16 << 20
  /// Where an answer about allocated ranges ends although the next byte is allocated too: a caller that asks
  /// again and again must not make us walk the rest of the disk each time.
  static let allocatedRangeBytes: Int64 = 1 << 30
  /// The unit of everything in a VMDK.
  static let sectorBytes: Int64 = 512
}
