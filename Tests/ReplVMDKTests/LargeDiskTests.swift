import Glibc
import ReplIO
import ReplModel
import Testing

@testable import ReplVMDK

@Suite("large disks") struct LargeDiskTests {
  private let folder: TestFolder

  init() throws { folder = try TestFolder() }

  /// Three files of 14 TiB, which every file system with sparse files can hold, and 8 MiB of data at each of
  /// `places`, in bytes of the disk.
  private func write(_ places: [Int64], pieceBytes: Int64) throws {
    let data = [UInt8](repeating: 0xA5, count: 8 << 20)
    var lines = ""
    for number in 0..<3 {
      let start = Int64(number) * pieceBytes
      let file = Glibc.open(folder.path + "/big-f\(number)", O_WRONLY | O_CREAT, 0o600)
      try #require(file >= 0)
      defer { close(file) }
      try #require(ftruncate(file, Int(pieceBytes)) == 0, "the file system takes no file of 14 TiB")
      for place in places where place >= start && place < start + pieceBytes {
        try #require(pwrite(file, data, data.count, Int(place - start)) == data.count)
      }
      lines += "RW \(pieceBytes / 512) VMFS \"big-f\(number)\"\n"
    }
    try folder.write("big.vmdk", descriptorText(createType: "vmfs", extents: lines))
  }

  @Test("1 GiB of data in 42 TiB is found in bounded time, and nothing else is")
  func sparse() throws {
    let pieceBytes: Int64 = 14 << 40
    var random = SeededGenerator(seed: 42)
    let slots = Set((0..<128).map { _ in Int64.random(in: 0..<(3 * pieceBytes >> 23), using: &random) })
    let places = slots.map { $0 << 23 }.sorted()
    try write(places, pieceBytes: pieceBytes)
    let disk = try VMDKImage.open("big.vmdk", in: folder.directory)
    #expect(disk.sizeBytes == 42 << 40)
    let clock = ContinuousClock()
    let start = clock.now
    let ranges = try allocatedRanges(of: disk)
    let elapsed = clock.now - start
    #expect(elapsed < .seconds(5), "\(elapsed)")
    let length: Int64 = 8 << 20
    for place in places {
      // Neighbours come as one range.
      #expect(ranges.contains { $0.offset <= place && place + length <= $0.end }, "seed 42: \(place)")
    }
    let found = ranges.reduce(0) { $0 + $1.length }
    let wanted = Int64(places.count) * length
    // A file system may count a neighbouring block.
    #expect(found >= wanted && found < wanted + (8 << 20), "seed 42: \(found) of \(wanted)")
    let last = try #require(places.last)
    #expect(
      try bytes(of: disk, ByteRange(offset: last, length: 4096)) == [UInt8](repeating: 0xA5, count: 4096))
    #expect(try disk.links[0].allocatedBytes() < 2 << 30)
  }
}
