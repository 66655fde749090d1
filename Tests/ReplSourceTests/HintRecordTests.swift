import Foundation
import ReplModel
import Testing

@testable import ReplSource

/// The record of hints, as the page ChangeHints shows it.
@Suite("The record of hints") struct HintRecordTests {
  private static var record: HintRecord {
    let grid = PageGrid(sizeBytes: 1 << 30, pageSizeBytes: 4096)!
    let disk = HintRecord.Disk(
      disk: DiskID(high: 0x11, low: 0x22), slot: DiskSlot("scsi0:0")!, grid: grid,
      turn: HintAudit.Turn(nextSlice: 42, at: WallTime("2026-11-28T12:00:00.000Z")!),
      token: HintRecord.Token(changeID: "52 de c0 d9/45"))
    return HintRecord(
      receiver: ReceiverID(high: 1, low: 2), vm: VMID(high: 3, low: 4), provider: "command /bin/changes",
      reference: PointReference(epoch: Epoch(1), number: 7), pass: PassID(high: 5, low: 6), disks: [disk],
      kept: nil)
  }

  private static var example: [UInt8] {
    get throws {
      let page = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()
        .appendingPathComponent("Sources/ReplSource/ReplSource.docc/ChangeHints.md")
      let text = try String(contentsOf: page, encoding: .utf8)
      let block = try #require(
        text.components(separatedBy: "```text\n").last?.components(separatedBy: "\n```").first)
      return Array(block.utf8)
    }
  }

  @Test("the example of the page is what is written, and reads as what it says")
  func example() throws {
    let bytes = SealedText.seal(Self.record, as: "hint")
    #expect(String(decoding: bytes, as: UTF8.self) == String(decoding: try Self.example, as: UTF8.self))
    #expect(SealedText.open(try Self.example, as: "hint", HintRecord.self) == Self.record)
  }

  @Test("a flipped bit, a missing end or another kind makes it no record")
  func damaged() throws {
    let bytes = SealedText.seal(Self.record, as: "hint")
    for index in bytes.indices {
      var other = bytes
      other[index] ^= 4
      #expect(SealedText.open(other, as: "hint", HintRecord.self) == nil, "byte \(index)")
      #expect(SealedText.open(Array(bytes[..<index]), as: "hint", HintRecord.self) == nil, "\(index) bytes")
    }
    #expect(SealedText.open(bytes, as: "distrust", HintRecord.self) == nil)
  }
}
