/// Builds COWD extents, right or wrong ones, byte by byte and without the code under test.
struct COWDBuilder {
  var magic = Array("COWD".utf8)
  var version: UInt32 = 1
  var flags: UInt32 = 3
  var capacity: UInt32 = 4224
  var grainSectors: UInt32 = 1
  var gdOffset: UInt32 = 4
  var directoryEntries: UInt32?
  var uncleanShutdown: UInt32 = 0
  /// Grains that hold data, in the order in which they lie in the file. Tables come when first needed.
  var grains: [(index: Int, data: [UInt8])] = []
  /// Entries that a test sets after everything else.
  var entries: [(grain: Int, value: UInt32)] = []
  var tables: [(table: Int, value: UInt32)] = []
  /// Bytes that a test cuts off the end.
  var cut = 0

  var tableCount: Int {
    let coverage = 4096 * max(1, Int(grainSectors))
    return (Int(capacity) + coverage - 1) / coverage
  }
  var directorySectors: Int { (tableCount * 4 + 511) / 512 }

  func build() -> [UInt8] {
    var file = header
    file += [UInt8](repeating: 0, count: directorySectors * 512)
    var places: [Int: Int] = [:]
    func put(_ value: UInt32, at offset: Int) {
      file.replaceSubrange(offset..<(offset + 4), with: little(value))
    }
    func table(_ number: Int) -> Int {
      if let known = places[number] { return known }
      let sector = file.count / 512
      places[number] = sector
      put(UInt32(sector), at: 2048 + number * 4)
      file += [UInt8](repeating: 0, count: 16_384)
      return sector
    }
    for grain in grains {
      let place = table(grain.index / 4096)
      put(UInt32(file.count / 512), at: place * 512 + grain.index % 4096 * 4)
      file += grain.data
    }
    put(UInt32(file.count / 512), at: 28)
    for entry in entries { put(entry.value, at: table(entry.grain / 4096) * 512 + entry.grain % 4096 * 4) }
    for entry in tables { put(entry.value, at: 2048 + entry.table * 4) }
    return Array(file.dropLast(cut))
  }

  /// What the disk holds over its parent.
  func content(over parent: [UInt8]) -> [UInt8] {
    var disk = parent
    for grain in grains {
      let start = grain.index * Int(grainSectors) * 512
      let count = min(grain.data.count, disk.count - start)
      disk.replaceSubrange(start..<(start + count), with: grain.data[..<count])
    }
    return disk
  }

  private var header: [UInt8] {
    var bytes = magic  //                                       0  magic
    bytes += little(version)  //                                4  version
    bytes += little(flags)  //                                  8  flags
    bytes += little(capacity)  //                              12  capacity, sectors
    bytes += little(grainSectors)  //                          16  grain size, sectors
    bytes += little(gdOffset)  //                              20  grain directory
    bytes += little(directoryEntries ?? UInt32(tableCount))  // 24 its entries
    bytes += little(UInt32(0))  //                             28  next free sector
    bytes += [UInt8](repeating: 0, count: 1648 - bytes.count)
    bytes += little(uncleanShutdown)  //                     1648  in use
    return bytes + [UInt8](repeating: 0, count: 2048 - bytes.count)
  }
}
