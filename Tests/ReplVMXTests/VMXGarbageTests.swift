import ReplModel
import Testing

@testable import ReplVMX

@Suite("garbage in a VMX") struct VMXGarbageTests {
  private let words = [
    "scsi0:0.fileName", "scsi0:0.present", "ethernet0.networkName", "displayName", ".encoding",
    "serial0.fileName", "=",
    " = ", "\"", "\"", "|", "|0A", "|22", "|00", "#", " ", "\t", "\r", "\n", "\r\n", "/etc/passwd", "TRUE",
    "ü", "\u{1}",
    "\0", "windows-1252", "a.vmdk", "scsi0:0.deviceType", "uuid.action", "[", ":", "..",
  ].map { Array($0.utf8) }

  private func noise(_ random: inout SeededGenerator) -> [UInt8] {
    var bytes: [UInt8] = []
    for _ in 0..<Int.random(in: 0...200, using: &random) {
      if Int.random(in: 0..<20, using: &random) == 0 { bytes.append(.random(in: 0...255, using: &random)) }
      bytes += words.randomElement(using: &random)!
      if Int.random(in: 0..<8, using: &random) == 0 {
        bytes += words[Int.random(in: 0..<6, using: &random)] + Array("=\"x\"\n".utf8)
      }
    }
    return bytes
  }

  @Test("any bytes are kept as they are, read without a trap, and make a stub that is safe", arguments: 1...6)
  func anyBytes(_ seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    let slot = try #require(DiskSlot("scsi0:0"))
    var entryCount = 0
    for _ in 0..<80 {
      let bytes = noise(&random)
      let document = try VMXDocument(parsing: bytes)
      #expect(document.serialize() == bytes, "seed \(seed)")
      entryCount += document.entries.count
      // Refused or not: only a trap would be wrong here.
      _ = try? document.disks()
      let output = try StandbyStub.make(
        StandbyStub.Input(source: bytes, disks: [.init(slot: slot, descriptorFileName: "d.vmdk")]))
      try expectSafe(output, seed)
    }
    #expect(entryCount > 80, "seed \(seed): the noise says nothing")
  }

  /// Whatever the source was: UTF-8, no control characters, each name once, nothing of the host, the disk in
  /// place.
  private func expectSafe(_ output: StandbyStub.Output, _ seed: UInt64) throws {
    let text = try #require(String(validating: output.bytes, as: UTF8.self), "seed \(seed)")
    #expect(!output.bytes.contains { ($0 < 0x20 && $0 != 0x0A && $0 != 0x09) || $0 == 0x7F }, "seed \(seed)")
    let stub = try VMXDocument(parsing: output.bytes)
    #expect(stub.notes.isEmpty && stub.encoding == .utf8, "seed \(seed): \(stub.notes)")
    #expect(stub["scsi0:0.fileName"] == "d.vmdk" && stub["scsi0:0.present"] == "TRUE", "seed \(seed)")
    #expect(stub["uuid.action"] == "keep" && stub["serial0.fileName"] == nil, "seed \(seed)")
    for line in text.split(separator: "\n") where line.contains("/etc/passwd") {
      #expect(
        line.hasPrefix("displayName = ") || line.drop { $0 == " " || $0 == "\t" }.hasPrefix("#"),
        "seed \(seed): \(line)")
    }
  }

  @Test("a VMX with as many lines as are accepted is read and made into a stub within seconds")
  func largest() throws {
    var bytes: [UInt8] = []
    for number in 0..<20_000 { bytes += "a\(number).script.filename.x=\"y\"\n".utf8 }
    bytes += [UInt8](repeating: 0x0A, count: Limits.lines - 20_000)
    let clock = ContinuousClock()
    let time = try clock.measure {
      let output = try StandbyStub.make(StandbyStub.Input(source: bytes, disks: []))
      #expect(output.dropped.count == 20_000)
    }
    #expect(time < .seconds(30), "a stub took \(time)")
  }
}
