import ReplCompression

/// Builds stream-optimized extents, right or wrong ones: the frame byte by byte, deflate by the library.
struct StreamOptimizedBuilder {
  struct Grain {
    let index: Int
    /// What the disk holds there; may end with the disk.
    var data: [UInt8]
    /// Stored, not packed: larger than the grain.
    var isStored = false
    /// What the marker says, when it lies.
    var lba: UInt64?
    var size: UInt32?
    /// Replaces the zlib stream.
    var stream: [UInt8]?
  }

  var version: UInt32 = 3
  var flags: UInt32 = 0x30001
  var capacity: UInt64 = 16 * 600 + 5
  var grainSectors: UInt64 = 16
  var compression: UInt16 = 1
  /// Directory behind the grains, with a footer; otherwise in front.
  var hasFooter = true
  var hasProgressMarkers = true
  /// Sectors before the first grain; a directory in front starts in their middle.
  var headSectors = 128
  var grains: [Grain] = []
  var extraLines = ""
  var footerMagic = Array("KDMV".utf8)
  var footerCapacity: UInt64?
  var footerDirectory: UInt64?
  var footerMarker: UInt32 = 3
  var endMarker: UInt32 = 0
  var cut = 0
  var entries: [(grain: Int, value: UInt32)] = []

  var tableCount: Int { Int((capacity + grainSectors * 512 - 1) / (grainSectors * 512)) }

  static func stored(_ data: [UInt8]) -> [UInt8] {
    var bytes: [UInt8] = [0x78, 0x01]
    var rest = data[...]
    repeat {
      let part = rest.prefix(65_535)
      rest = rest.dropFirst(part.count)
      bytes.append(rest.isEmpty ? 1 : 0)
      bytes += little(UInt16(part.count)) + little(~UInt16(part.count)) + part
    } while !rest.isEmpty
    var (low, high): (UInt32, UInt32) = (1, 0)
    for byte in data {
      low = (low + UInt32(byte)) % 65_521
      high = (high + low) % 65_521
    }
    return bytes + little((high << 16 | low).bigEndian)
  }

  private static func deflated(_ data: [UInt8]) throws -> [UInt8] {
    var room = [UInt8](repeating: 0, count: data.count + 1024)
    let count = try room.withUnsafeMutableBytes { target in
      try data.withUnsafeBytes { try Compressor(codec: .zlib).compress($0, into: target) }
    }
    return Array(room[..<(count ?? 0)])
  }

  private static func marker(_ value: UInt64, _ type: UInt32) -> [UInt8] {
    little(value) + little(UInt32(0)) + little(type) + [UInt8](repeating: 0, count: 496)
  }

  func build() throws -> [UInt8] {
    var file = [UInt8](repeating: 0, count: headSectors * 512)
    let front = hasFooter ? [] : emptyTables(at: headSectors / 2)
    file.replaceSubrange(512..<(512 + descriptor.utf8.count), with: Array(descriptor.utf8))
    var entries = [UInt32](repeating: 0, count: tableCount * 512)
    for (position, grain) in grains.enumerated() {
      if hasProgressMarkers, hasFooter, position % 2 == 1 { file += Self.marker(0, 4) }
      entries[grain.index] = UInt32(file.count / 512)
      let stream =
        try grain.stream ?? (grain.isStored ? Self.stored(grain.data) : Self.deflated(grain.data))
      file += little(grain.lba ?? UInt64(grain.index) * grainSectors)
      file += little(grain.size ?? UInt32(stream.count)) + stream
      pad(&file)
    }
    for entry in self.entries { entries[entry.grain] = entry.value }
    if !hasFooter {
      for (index, bytes) in front.enumerated() { file[headSectors / 2 * 512 + index] = bytes }
      for (index, entry) in entries.enumerated() {
        let offset = (headSectors / 2 + (tableCount * 4 + 511) / 512) * 512 + index * 4
        file.replaceSubrange(offset..<(offset + 4), with: little(entry))
      }
      file.replaceSubrange(0..<512, with: header(directory: UInt64(headSectors / 2), capacity))
      return Array((file + Self.marker(0, 0)).dropLast(cut))
    }
    file.replaceSubrange(0..<512, with: header(directory: .max, capacity))
    try appendTail(&file, entries)
    return Array(file.dropLast(cut))
  }

  private func appendTail(_ file: inout [UInt8], _ entries: [UInt32]) throws {
    var directory: [UInt8] = []
    for table in 0..<tableCount {
      file += Self.marker(4, 1)
      directory += little(UInt32(file.count / 512))
      for entry in entries[(table * 512)..<(table * 512 + 512)] { file += little(entry) }
    }
    pad(&directory)
    file += Self.marker(UInt64(directory.count / 512), 2)
    let place = UInt64(file.count / 512)
    file += directory + Self.marker(1, footerMarker)
    file += header(
      directory: footerDirectory ?? place, footerCapacity ?? capacity, magic: footerMagic)
    file += Self.marker(0, endMarker)
  }

  private func emptyTables(at sector: Int) -> [UInt8] {
    let directorySectors = (tableCount * 4 + 511) / 512
    return (0..<tableCount).flatMap { little(UInt32(sector + directorySectors + $0 * 4)) }
  }

  private func pad(_ bytes: inout [UInt8]) {
    bytes += [UInt8](repeating: 0, count: (512 - bytes.count % 512) % 512)
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

  var descriptor: String {
    """
    # Disk DescriptorFile
    version=1
    CID=a1b2c3d4
    parentCID=ffffffff
    createType="streamOptimized"
    \(extraLines)
    # Extent description
    RW \(capacity) SPARSE "disk.vmdk"

    # The Disk Data Base
    #DDB
    ddb.uuid = "60 00 C2 99 d3 f5 dc ad-9e 25 3e 89 48 2c 3f de"

    """
  }

  private func header(
    directory: UInt64, _ capacity: UInt64, magic: [UInt8] = Array("KDMV".utf8)
  ) -> [UInt8] {
    var bytes = magic  //                     0  magic
    bytes += little(version)  //              4  version
    bytes += little(flags)  //                8  flags: newlines, compressed, markers
    bytes += little(capacity)  //            12  capacity, sectors
    bytes += little(grainSectors)  //        20  grain size, sectors
    bytes += little(UInt64(1))  //           28  embedded descriptor
    bytes += little(UInt64(20))  //          36  its sectors
    bytes += little(UInt32(512))  //         44  entries per grain table
    bytes += little(UInt64(0))  //           48  no redundant grain directory
    bytes += little(directory)  //           56  grain directory
    bytes += little(UInt64(headSectors))  // 64  sectors of metadata
    bytes += [0, 0x0A, 0x20, 0x0D, 0x0A]  // 72  not in use, newline test
    bytes += little(compression)  //         77  deflate
    return bytes + [UInt8](repeating: 0, count: 512 - bytes.count)
  }
}
