/// Builds seSparse extents, right or wrong ones, byte by byte and without the code under test.
struct SESparseBuilder {
  enum Entry {
    case unmapped
    case zero
    case data([UInt8])
    case raw(UInt64)
  }

  var magic: UInt64 = 0xCAFE_BABE
  var version: UInt64 = 0x2_0000_0001
  var capacity: UInt64 = 34_816
  var grainSectors: UInt64 = 8
  var tableSectors: UInt64 = 64
  var flags: UInt64 = 0
  var volatileMagic: UInt64 = 0xCAFE_CAFE
  var replayJournal: UInt64 = 0
  /// Bytes that a test sets: offset in the file and value.
  var patches: [(offset: Int, bytes: [UInt8])] = []
  /// Grains in the order in which they lie in the file.
  var grains: [(index: Int, entry: Entry)] = []
  /// Numbers of the tables in the order of the disk; the reverse of the disk's order, as ESXi does not care.
  var reversesTables = true
  /// Directory entries that a test sets.
  var tables: [(table: Int, value: UInt64)] = []
  /// The number of the first grain in the file: large ones make a sparse file.
  var firstGrain = 0
  var cut = 0

  var tableCount: Int { Int((capacity + 32_767) / 32_768) }
  var directorySectors: Int { (tableCount * 8 + 511) / 512 }
  // 1 volatile header, 2-3 journal header, 4-7 journal, 8 directory, tables, free bitmap, back map, grains.
  let directory = 8
  var firstTable: Int { directory + directorySectors }
  var freeBitmap: Int { firstTable + tableCount * 64 }
  var firstGrainSector: Int { (freeBitmap + 2 + 7) / 8 * 8 }

  func number(ofTable table: Int) -> Int { reversesTables ? tableCount - 1 - table : table }

  static func entry(_ grain: Int) -> UInt64 {
    0x3000_0000_0000_0000 | UInt64(grain & 0xFFF) << 48 | UInt64(grain >> 12)
  }

  func build() -> [UInt8] {
    var file = [UInt8](repeating: 0, count: firstGrainSector * 512)
    func put(_ bytes: [UInt8], _ offset: Int) {
      file.replaceSubrange(offset..<(offset + bytes.count), with: bytes)
    }
    put(header, 0)
    put(little(volatileMagic), 512)
    put(little(replayJournal), 512 + 24)
    for table in Set(grains.map { $0.index / 4096 }) {
      put(little(0x1000_0000_0000_0000 | UInt64(number(ofTable: table))), directory * 512 + table * 8)
    }
    var next = firstGrain
    file += [UInt8](repeating: 0, count: firstGrain * 4096)
    for grain in grains {
      let place = (firstTable + number(ofTable: grain.index / 4096) * 64) * 512 + grain.index % 4096 * 8
      switch grain.entry {
      case .unmapped: put(little(UInt64(1) << 60), place)
      case .zero: put(little(UInt64(2) << 60), place)
      case .raw(let value): put(little(value), place)
      case .data(let bytes):
        put(little(Self.entry(next)), place)
        file += bytes
        next += 1
      }
    }
    for entry in tables { put(little(entry.value), directory * 512 + entry.table * 8) }
    for patch in patches { put(patch.bytes, patch.offset) }
    return Array(file.dropLast(cut))
  }

  /// What the disk holds over its parent.
  func content(over parent: [UInt8]) -> [UInt8] {
    var disk = parent
    for grain in grains {
      let start = grain.index * 4096
      let range = start..<min(disk.count, start + 4096)
      switch grain.entry {
      case .unmapped, .zero: disk.replaceSubrange(range, with: [UInt8](repeating: 0, count: range.count))
      case .data(let bytes): disk.replaceSubrange(range, with: bytes[..<range.count])
      case .raw: break
      }
    }
    return disk
  }

  private var header: [UInt8] {
    var bytes: [UInt8] = []
    // 0  magic, version, capacity, grain size, table size, flags
    for value in [magic, version, capacity, grainSectors, tableSectors, flags] { bytes += little(value) }
    bytes += [UInt8](repeating: 0, count: 32)  //                                 48  reserved
    for (start, count) in [
      (1, 1),  //                              80  volatile header
      (2, 2),  //                              96  journal header
      (4, 4),  //                             112  journal
      (directory, directorySectors),  //      128  grain directory
      (firstTable, tableCount * 64),  //      144  grain tables
      (freeBitmap, 1), (freeBitmap + 1, 1),  // 160, 176 free bitmap, back map
      (firstGrainSector, 1 << 20),  //        192  grains
    ] {
      bytes += little(UInt64(start)) + little(UInt64(count))
    }
    return bytes + [UInt8](repeating: 0, count: 512 - bytes.count)
  }
}
