/// Builds hosted sparse images, right or wrong ones, byte by byte and without the code under test.
struct SparseImageBuilder {
  var version: UInt32 = 1
  var flags: UInt32 = 0b11
  var capacity: UInt64 = 1157
  var grainSectors: UInt64 = 16
  var entriesPerTable: UInt32 = 512
  var descriptorOffset: UInt64 = 1
  var descriptorSectors: UInt64 = 20
  var newlines: [UInt8] = [0x0A, 0x20, 0x0D, 0x0A]
  var compression: UInt16 = 0
  var uncleanShutdown: UInt8 = 0
  var magic = Array("KDMV".utf8)
  var createType = "monolithicSparse"
  var parentCID = "ffffffff"
  var extraLines = ""
  var extentSectors: UInt64?
  /// Offsets in the header that a test sets wrong.
  var gdOffset: UInt64?
  var rgdOffset: UInt64?
  var overHead: UInt64?
  /// Grains that hold data, in the order in which they lie in the file.
  var grains: [(index: Int, data: [UInt8])] = []
  /// Entries of the tables that a test sets after everything else: grain and value, in both copies or in one.
  var entries: [(grain: Int, value: UInt32, primary: Bool, redundant: Bool)] = []
  /// Entries of the primary directory that a test sets.
  var directoryEntries: [(table: Int, value: UInt32)] = []

  var tableCount: Int {
    let coverage = max(1, grainSectors) * UInt64(max(1, entriesPerTable))
    return Int((capacity + coverage - 1) / coverage)
  }
  var directorySectors: Int { (tableCount * 4 + 511) / 512 }
  var tableSectors: Int { max(1, Int(entriesPerTable) * 4 / 512) }
  var hasRedundant: Bool { flags & 2 != 0 }
  var rgd: Int { 1 + Int(descriptorSectors) }
  var gd: Int { hasRedundant ? rgd + directorySectors + tableCount * tableSectors : rgd }
  var metadataEnd: Int {
    let end = gd + directorySectors + tableCount * tableSectors
    return (end + Int(grainSectors) - 1) / Int(grainSectors) * Int(grainSectors)
  }

  func place(ofGrain position: Int) -> Int { metadataEnd + position * Int(grainSectors) }

  var descriptor: String {
    """
    # Disk DescriptorFile
    version=1
    CID=a1b2c3d4
    parentCID=\(parentCID)
    createType="\(createType)"
    \(extraLines)
    # Extent description
    RW \(extentSectors ?? capacity) SPARSE "disk.vmdk"

    # The Disk Data Base
    #DDB
    ddb.uuid = "60 00 C2 99 d3 f5 dc ad-9e 25 3e 89 48 2c 3f de"

    """
  }

  func build() -> [UInt8] {
    let sectors = metadataEnd + grains.count * Int(grainSectors)
    var file = [UInt8](repeating: 0, count: sectors * 512)
    put(header, at: 0, &file)
    put(Array(descriptor.utf8), at: Int(descriptorOffset) * 512, &file)
    if hasRedundant { putTables(at: rgd, &file) }
    putTables(at: gd, &file)
    for (position, grain) in grains.enumerated() {
      put(grain.data, at: place(ofGrain: position) * 512, &file)
      set(grain.index, UInt32(place(ofGrain: position)), true, hasRedundant, &file)
    }
    for entry in entries {
      set(entry.grain, entry.value, entry.primary, entry.redundant && hasRedundant, &file)
    }
    for entry in directoryEntries { put(little(entry.value), at: gd * 512 + entry.table * 4, &file) }
    return file
  }

  /// What the disk holds.
  func content() -> [UInt8] {
    var disk = [UInt8](repeating: 0, count: Int(capacity) * 512)
    for grain in grains {
      let start = grain.index * Int(grainSectors) * 512
      let count = min(grain.data.count, disk.count - start)
      disk.replaceSubrange(start..<(start + count), with: grain.data[..<count])
    }
    return disk
  }

  var header: [UInt8] {
    var bytes = magic  //                          0  magic
    bytes += little(version)  //                   4  version
    bytes += little(flags)  //                     8  flags
    bytes += little(capacity)  //                 12  capacity, sectors
    bytes += little(grainSectors)  //             20  grain size, sectors
    bytes += little(descriptorOffset)  //         28  embedded descriptor
    bytes += little(descriptorSectors)  //        36  its sectors
    bytes += little(entriesPerTable)  //          44  entries per grain table
    bytes += little(rgdOffset ?? (hasRedundant ? UInt64(rgd) : 0))  // 48 redundant grain directory
    bytes += little(gdOffset ?? UInt64(gd))  //   56  grain directory
    bytes += little(overHead ?? UInt64(metadataEnd))  // 64 sectors of metadata
    bytes += [uncleanShutdown]  //                72  in use
    bytes += newlines  //                         73  newline test
    bytes += little(compression)  //              77  compression
    return bytes + [UInt8](repeating: 0, count: 512 - bytes.count)
  }

  private func putTables(at directory: Int, _ file: inout [UInt8]) {
    for table in 0..<tableCount {
      let sector = directory + directorySectors + table * tableSectors
      put(little(UInt32(sector)), at: directory * 512 + table * 4, &file)
    }
  }

  private func set(_ grain: Int, _ value: UInt32, _ primary: Bool, _ redundant: Bool, _ file: inout [UInt8]) {
    for (directory, wanted) in [(gd, primary), (rgd, redundant)] where wanted {
      put(little(value), at: (directory + directorySectors) * 512 + grain * 4, &file)
    }
  }

  private func put(_ bytes: [UInt8], at offset: Int, _ file: inout [UInt8]) {
    file.replaceSubrange(offset..<(offset + bytes.count), with: bytes)
  }
}

func little(_ value: some FixedWidthInteger) -> [UInt8] {
  withUnsafeBytes(of: value.littleEndian) { Array($0) }
}
