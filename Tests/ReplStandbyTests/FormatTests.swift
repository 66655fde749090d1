import FoundationEssentials
import ReplDigest
import ReplIO
import ReplModel
import ReplTestKit
import Testing

@testable import ReplStandby

@Suite("Record files and catalogs") struct FormatTests {
  private let machine = SimulatedMachine(disks: ["disk"])
  private var disk: any StorageDirectory { machine.disk("disk") }
  private let grid = PageGrid(sizeBytes: 65536, pageSizeBytes: 4096)!

  private var header: RecordFileHeader {
    RecordFileHeader(
      kind: .journal, identity: 0x0123_4567_89AB_CDEF,
      description: .init(
        vm: VMID(high: 1, low: 2), pass: PassID(high: 3, low: 4),
        base: PointReference(epoch: Epoch(1), number: 7),
        disks: [.init(disk: DiskID(high: 5, low: 6), grid: grid, keyID: KeyID(high: 7, low: 8))]))
  }

  private let zeroPageThree = BatchRecord.encodeHead(
    diskIndex: 0, codec: .raw, runs: [PageRun(kind: .zero, firstPage: 3, pageCount: 1)], rawLength: 0,
    digestCount: 0, payloadLength: 0)

  private func exampleFile() throws -> [UInt8] {
    let writer = try RecordWriter.create("example", in: disk, header: header)
    try zeroPageThree.reading { (bytes) throws(StandbyError) in
      try writer.append(.batch, flags: RecordFormat.flagDigests, [bytes])
    }
    try writer.sync()
    return try Bench.bytes(of: writer.file)
  }

  @Test("the worked example on the format page is what the code writes, and reads back")
  func example() throws {
    let page = "Sources/ReplStandby/ReplStandby.docc/JournalFormat.md"
    let root = #filePath.components(separatedBy: "/Tests/ReplStandbyTests/")[0]
    let text = try String(contentsOfFile: "\(root)/\(page)", encoding: .utf8)
    let shown = try #require(HexDump.parse(text))
    #expect(try HexDump.lines(exampleFile()) == HexDump.lines(shown), "the page is out of date")

    try disk.replaceFile("from-page", with: shown)
    let reader = try #require(try RecordReader.open(disk.openFile("from-page", .read)))
    #expect(reader.header == header)
    let record = try #require(try reader.next())
    let batch = try #require(BatchRecord(record, disks: header.description.disks))
    #expect(batch.runs == [PageRun(kind: .zero, firstPage: 3, pageCount: 1)])
    #expect(batch.rawLength == 0 && batch.payload.isEmpty && batch.hasDigests)
    #expect(try reader.next() == nil)
    #expect(reader.endBytes == Int64(shown.count))
  }

  @Test("the fields of a record stand where the page says")
  func goldenRecord() throws {
    let bytes = try exampleFile()
    let start = bytes.count - 512
    let record = Array(bytes[start...])
    #expect(record[0..<4].elementsEqual("VLRC".utf8))  // magic
    #expect(Array(record[4..<6]) == [1, 0])  // type: batch
    #expect(Array(record[6..<8]) == [1, 0])  // flags: digests are there
    #expect(Array(record[8..<16]) == [0, 0, 0, 0, 0, 0, 0, 0])  // sequence
    #expect(Array(record[16..<24]) == [26, 0, 0, 0, 0, 0, 0, 0])  // length of the body, reserved
    // identity of the file
    #expect(Array(record[24..<32]) == [0xEF, 0xCD, 0xAB, 0x89, 0x67, 0x45, 0x23, 0x01])
    #expect(Array(record[32..<48]) == Array(bytes[32..<48]))  // checksum of the file header
    #expect(Array(record[64..<68]) == [0, 0, 0, 0])  // disk index, codec, reserved
    #expect(Array(record[68..<72]) == [1, 0, 0, 0])  // one run
    #expect(Array(record[72..<76]) == [0, 0, 0, 0])  // raw length
    #expect(Array(record[76..<80]) == [2, 0, 0, 0])  // length of the run table
    #expect(Array(record[80..<88]) == [0, 0, 0, 0, 0, 0, 0, 0])  // digests, payload
    #expect(Array(record[88..<90]) == [3, 3])  // run table: gap 3, one page * 2 + zero
    #expect(record[90...].allSatisfy { $0 == 0 })  // padding
  }

  @Test("a reader stops at any flipped bit, and everything before stays readable")
  func flippedBits() throws {
    let writer = try RecordWriter.create("log", in: disk, header: header)
    for sequence in 0..<4 {
      try [UInt8](repeating: UInt8(sequence), count: 40).reading { (bytes) throws(StandbyError) in
        try writer.append(.seal, [bytes])
      }
    }
    let good = try Bench.bytes(of: writer.file)
    let headerBytes = good.count - 4 * 512
    var random = SeededRandom(seed: 11)
    for offset in stride(from: 0, to: good.count, by: 7) {
      var bytes = good
      bytes[offset] ^= UInt8(1 << (random.next() % 8))
      try disk.replaceFile("flipped", with: bytes)
      let reader: RecordReader?
      do { reader = try RecordReader.open(disk.openFile("flipped", .read)) } catch {
        // A version that is flipped upwards is refused by message.
        guard case .newerFormat? = error as? StandbyError else { throw error }
        #expect((8..<10).contains(offset))
        continue
      }
      var count = 0
      while try reader?.next() != nil { count += 1 }
      let place = offset < headerBytes ? 0 : (offset - headerBytes) % 512
      let isPadding = offset < headerBytes ? reader != nil : place >= 104
      let expected = isPadding ? 4 : offset < headerBytes ? 0 : (offset - headerBytes) / 512
      #expect(count == expected, "byte \(offset)")
    }
  }

  @Test("records of another file or another place in the chain are not taken for the file's own")
  func foreignRecords() throws {
    func make(_ name: String, _ identity: UInt64, _ contents: [UInt8]) throws -> [UInt8] {
      let header = RecordFileHeader(kind: .journal, identity: identity, description: header.description)
      let writer = try RecordWriter.create(name, in: disk, header: header)
      for byte in contents {
        try [byte].reading { (bytes) throws(StandbyError) in try writer.append(.seal, [bytes]) }
      }
      return try Bench.bytes(of: writer.file)
    }
    let left = try make("left", 1, [1, 2, 3])
    for (name, other) in [
      ("another file", try make("a", 2, [1, 2, 3])), ("another past", try make("b", 1, [9, 2, 3])),
    ] {
      var mixed = left
      let second = left.count - 1024
      mixed.replaceSubrange(second..., with: other[second...])
      try disk.replaceFile("mixed", with: mixed)
      let reader = try #require(try RecordReader.open(disk.openFile("mixed", .read)))
      var count = 0
      while try reader.next() != nil { count += 1 }
      #expect(count == 1, "\(name)")
    }
  }

  @Test("a record of a kind that a later version wrote is refused by message")
  func newerRecord() throws {
    let writer = try RecordWriter.create("log", in: disk, header: header)
    try zeroPageThree.reading { (bytes) throws(StandbyError) in try writer.append(.batch, [bytes]) }
    var bytes = try Bench.bytes(of: writer.file)
    let start = bytes.count - 512
    bytes[start + 4] = 9
    let digest = try bytes.withUnsafeBytes { all in
      try RecordChecksum().compute([
        .init(rebasing: all[start..<(start + 48)]), .init(rebasing: all[(start + 64)..<(start + 90)]),
      ])
    }
    bytes.replaceSubrange((start + 48)..<(start + 64), with: digest.bytes)
    try disk.replaceFile("log", with: bytes)
    let reader = try #require(try RecordReader.open(disk.openFile("log", .read)))
    let error = #expect(throws: StandbyError.self) { _ = try reader.next() }
    guard case .newerFormat? = error else { throw error ?? .storeMissing(path: "?") }
  }

  @Test("display names become slugs that are safe as file names")
  func slugs() {
    let cases = [
      ("web 01", "web-01"), ("../../etc/cron.d/x", "etc-cron.d-x"), ("", "vm"), ("...", "vm"), ("-", "vm"),
      ("a\u{0}b\nc", "a-b-c"), ("Grüße", "Gr-e"), ("\u{202E}exe.txt", "exe.txt"), (".hidden", "hidden"),
      (String(repeating: "x", count: 300), String(repeating: "x", count: 64)), ("CON", "CON"), ("a..", "a"),
    ]
    for (name, slug) in cases {
      #expect(StandbyLayout.slug(of: name) == slug)
      #expect(StandbyLayout.slug(of: slug) == slug, "a slug of a slug is the same")
      #expect(FileName.isPlain(slug))
    }
  }

  @Test("files that the caller makes cannot leave the directory or take a disk's name")
  func placedFiles() throws {
    let disk = CatalogDisk(
      disk: DiskID(high: 1, low: 1), slot: DiskSlot("scsi0:0")!, fileStem: "scsi0-0", grid: grid,
      keyID: KeyID(high: 1, low: 1), facts: DiskFacts(entries: []), state: .ready, isSuspect: false)
    for name in [
      "", ".", "..", "../x", "a/b", ".repl", "SETTLING.txt", "scsi0-0-flat.vmdk", "SCSI0-0-FLAT.vmdk", "a\nb",
    ] {
      #expect(throws: StandbyError.self, "\(name)") {
        _ = try [StandbyFile(name: name, bytes: [])].checked(besides: [disk])
      }
    }
    let twice = [StandbyFile(name: "a.vmx", bytes: []), StandbyFile(name: "A.vmx", bytes: [])]
    #expect(throws: StandbyError.self) { _ = try twice.checked(besides: [disk]) }
    let good = [StandbyFile(name: "scsi0-0.vmdk", bytes: [1]), StandbyFile(name: "web.vmx", bytes: [2])]
    #expect(try good.checked(besides: [disk]) == good)
  }
}

/// `hexdump -C` without the text column: offset, bytes, `*` for lines of zeros that are left out.
enum HexDump {
  static func lines(_ bytes: [UInt8]) -> [String] {
    var lines: [String] = []
    for offset in stride(from: 0, to: bytes.count, by: 16) {
      let row = bytes[offset..<min(offset + 16, bytes.count)]
      if row.allSatisfy({ $0 == 0 }) {
        if lines.last != "*" { lines.append("*") }
      } else {
        lines.append(hex(offset) + "  " + row.map { HexText.encode([$0]) }.joined(separator: " "))
      }
    }
    return lines + [hex(bytes.count)]
  }

  /// The bytes of the last block of a page that is fenced as `hexdump`.
  static func parse(_ page: String) -> [UInt8]? {
    guard let block = page.components(separatedBy: "```hexdump\n").last?.components(separatedBy: "```").first
    else {
      return nil
    }
    var bytes: [UInt8] = []
    for line in block.split(separator: "\n") where line != "*" {
      let words = line.split(separator: " ")
      guard let offset = Int(words[0], radix: 16), offset >= bytes.count, offset < 1 << 20 else { return nil }
      bytes += [UInt8](repeating: 0, count: offset - bytes.count)
      guard let row = HexText.decode(words.dropFirst().joined()) else { return nil }
      bytes += row
    }
    return bytes
  }

  private static func hex(_ value: Int) -> String {
    let digits = String(value, radix: 16)
    return String(repeating: "0", count: 8 - digits.count) + digits
  }
}
