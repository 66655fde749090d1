import Testing

@testable import ReplVMDK

@Suite("header of a hosted sparse extent") struct SparseHeaderTests {
  @Test("a header is decoded field by field")
  func golden() throws {
    var bytes: [UInt8] = [
      0x4B, 0x44, 0x4D, 0x56,  //                           0  magic KDMV
      0x02, 0x00, 0x00, 0x00,  //                           4  version 2
      0x07, 0x00, 0x00, 0x00,  //                           8  flags: newlines, redundant, zeroed grains
      0x85, 0x04, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,  //  12  capacity 1157 sectors
      0x80, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,  //  20  grain 128 sectors
      0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,  //  28  descriptor at sector 1
      0x14, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,  //  36  of 20 sectors
      0x00, 0x02, 0x00, 0x00,  //                          44  512 entries per table
      0x15, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,  //  48  redundant directory at sector 21
      0x1A, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,  //  56  directory at sector 26
      0x80, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,  //  64  128 sectors of metadata
      0x01,  //                                            72  in use
      0x0A, 0x20, 0x0D, 0x0A,  //                          73  newline test
      0x00, 0x00,  //                                      77  not compressed
    ]
    bytes += [UInt8](repeating: 0, count: 512 - bytes.count)
    let header = try HostedSparseHeader(decoding: bytes, fileSizeBytes: 896 * 512, path: "d.vmdk")
    #expect(header.capacitySectors == 1157)
    #expect(header.grainSectors == 128)
    #expect(header.entriesPerTable == 512)
    #expect(header.descriptor == SectorRange(start: 1, count: 20))
    #expect(header.redundantDirectory == SectorRange(start: 21, count: 1))
    #expect(header.directory == SectorRange(start: 26, count: 1))
    #expect(header.metadataSectors == 128)
    #expect(header.hasZeroedGrains && header.isMarkedInUse)
    #expect(header.tableCount == 1 && header.grainCount == 10)
  }

  typealias Change = @Sendable (inout SparseImageBuilder) -> Void

  struct Case: Sendable, CustomTestStringConvertible {
    let code: VMDKError.Code
    let text: String
    let change: Change
    var testDescription: String { text }
  }

  private static let cases: [Case] = [
    Case(code: .unsupportedVersion, text: "version 4 of the sparse format") { $0.version = 4 },
    Case(code: .unsupportedVersion, text: "version 0 of the sparse format") { $0.version = 0 },
    Case(code: .unknownFlags, text: "flags 40003 hold bits") { $0.flags |= 1 << 18 },
    Case(code: .badCompression, text: "flags 20003 and compression 0") { $0.flags |= 1 << 17 },
    Case(code: .badCompression, text: "flags 10003 and compression 0") { $0.flags |= 1 << 16 },
    Case(code: .badCompression, text: "flags 3 and compression 1") { $0.compression = 1 },
    Case(code: .badCompression, text: "compression 2") { ($0.compression, $0.flags) = (2, 0x10003) },
    Case(code: .badDirectory, text: "only compressed images have") { $0.gdOffset = .max },
    Case(code: .wrongMagic, text: "does not start with KDMV") { $0.magic = Array("KDMX".utf8) },
    Case(code: .unfinishedFile, text: "has not finished it") { $0.magic = Array("kdmv".utf8) },
    Case(code: .textModeDamage, text: "newline test bytes") { $0.newlines = [0x0A, 0x20, 0x0A, 0x0A] },
    Case(code: .badGrainSize, text: "grains of 0 sectors") { $0.grainSectors = 0 },
    Case(code: .badGrainSize, text: "grains of 3 sectors") { $0.grainSectors = 3 },
    Case(code: .badGrainSize, text: "grains of 4194304 sectors") { $0.grainSectors = 1 << 22 },
    Case(code: .badGrainSize, text: "grains of 9223372036854775808 sectors") { $0.grainSectors = 1 << 63 },
    Case(code: .badTableSize, text: "0 entries in a grain table") { $0.entriesPerTable = 0 },
    Case(code: .badTableSize, text: "511 entries in a grain table") { $0.entriesPerTable = 511 },
    Case(code: .badTableSize, text: "2147483648 entries") { $0.entriesPerTable = 1 << 31 },
    Case(code: .badCapacity, text: "a capacity of 0 sectors") { $0.capacity = 0 },
    Case(code: .badCapacity, text: "a capacity of 18446744073709551615") { $0.capacity = .max },
    Case(code: .directoryTooLarge, text: "16777216 entries is larger than the file") {
      $0.capacity = 1 << 37
    },
    Case(code: .outsideFile, text: "the grain directory at sector 0") { ($0.gdOffset, $0.flags) = (0, 1) },
    Case(code: .outsideFile, text: "the grain directory at sector 9999") {
      ($0.gdOffset, $0.rgdOffset) = (9999, 0)
    },
    Case(code: .outsideFile, text: "the grain directory at sector 36028797018963968") {
      ($0.gdOffset, $0.rgdOffset) = (1 << 55, 9999)
    },
    Case(code: .outsideFile, text: "the end of the metadata (overHead) at sector 9999") {
      $0.overHead = 9999
    },
    Case(code: .outsideFile, text: "the end of the metadata (overHead) at sector 0") { $0.overHead = 0 },
    Case(code: .outsideFile, text: "the embedded descriptor at sector 9999") { $0.descriptorOffset = 9999 },
    Case(code: .outsideFile, text: "the embedded descriptor at sector 1") { $0.descriptorSectors = .max },
    Case(code: .outsideFile, text: "the embedded descriptor at sector 1") { $0.descriptorSectors = 0 },
  ]

  @Test("a header that cannot be right is refused by name, without allocating for it", arguments: cases)
  func refusals(_ example: Case) throws {
    var builder = SparseImageBuilder()
    let size = Int64(builder.build().count)
    // The layout of the good image stays, whatever the header then says.
    (builder.rgdOffset, builder.gdOffset) = (UInt64(builder.rgd), UInt64(builder.gd))
    builder.overHead = UInt64(builder.metadataEnd)
    example.change(&builder)
    let error = try #require(throws: VMDKError.self) {
      _ = try HostedSparseHeader(decoding: builder.header, fileSizeBytes: size, path: "d.vmdk")
    }
    #expect(error.code == example.code)
    #expect(
      error.description.hasPrefix("d.vmdk: sector 0: ") && error.description.contains(example.text),
      "\(error)")
  }

  @Test("newline bytes do not matter where the header does not promise them, nor do unknown compatible flags")
  func compatible() throws {
    var builder = SparseImageBuilder()
    builder.flags = 0x0000_FFF0
    builder.newlines = [0, 0, 0, 0]
    let header = try HostedSparseHeader(decoding: builder.header, fileSizeBytes: 1 << 20, path: "d.vmdk")
    #expect(header.redundantDirectory == nil && !header.hasZeroedGrains)
  }
}
