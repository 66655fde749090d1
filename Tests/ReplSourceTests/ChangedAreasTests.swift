import ReplModel
import ReplTestKit
import Testing

@testable import ReplSource

@Suite("What a hint command prints") struct ChangedAreasTests {
  private static let slot = DiskSlot("scsi0:0")!
  private static let good = """
    {"disk":"scsi0:0","change_id":"52 de c0 d9/45"}
    {"offset":0,"length":65536}
    {"disk":"scsi0:0","offset":1048576,"length":512}
    {"end":true,"areas":2}

    """

  private func read(_ text: String) throws(HintRefusal) -> ChangedAreas {
    try ChangedAreas(text, slot: Self.slot, sizeBytes: 2 << 20)
  }

  @Test("areas, the change ID and the end are read")
  func whole() throws {
    let areas = try read(Self.good)
    #expect(areas.changeID == "52 de c0 d9/45")
    let expected = [ByteRange(offset: 0, length: 65536), ByteRange(offset: 1 << 20, length: 512)]
    #expect(areas.changed?.ranges == expected)
    let none = try read("{\"change_id\":\"7\"}\r\n{\"end\":true,\"areas\":0}")
    #expect(none.changed?.ranges == [])
    let unknown = try read("{\"change_id\":\"7\"}\n{\"all\":true}\n{\"end\":true,\"areas\":0}")
    #expect(unknown.changed == nil && unknown.changeID == "7")
  }

  @Test(
    "output that leaves any doubt is refused as a whole",
    arguments: [
      ("", "last line"),
      ("{\"change_id\":\"7\"}\n{\"offset\":0,\"length\":512}\n", "last line"),
      ("{\"offset\":0,\"length\":512}\n{\"end\":true,\"areas\":1}", "change_id"),
      ("{\"change_id\":\"7\"}\n{\"end\":true,\"areas\":1}", "areas"),
      ("{\"change_id\":\"7\"}\n{\"end\":true}", "areas"),
      ("{\"change_id\":\"7\"}\n{\"end\":false,\"areas\":0}", "areas"),
      ("{\"change_id\":\"7\"}\n{\"end\":true,\"areas\":0}\n{\"offset\":0,\"length\":1}", "follows"),
      ("{\"change_id\":\"7\"}\n{\"change_id\":\"8\"}", "second"),
      ("{\"change_id\":\"\"}", "printable"), ("{\"change_id\":\"-rf\"}", "printable"),
      ("{\"change_id\":\"*\"}", "printable"), ("{\"change_id\":\"a\\u0007\"}", "printable"),
      ("{\"disk\":\"scsi0:1\",\"offset\":0,\"length\":512}", "scsi0:1"),
      ("{\"offset\":-1,\"length\":512}", "lie on the disk"),
      ("{\"offset\":0,\"length\":0}", "lie on the disk"),
      ("{\"offset\":0,\"length\":-5}", "lie on the disk"), ("{\"offset\":2097152,\"length\":1}", "lie on"),
      ("{\"offset\":9223372036854775807,\"length\":9223372036854775807}", "lie on the disk"),
      ("{\"offset\":99999999999999999999,\"length\":1}", "expected"),
      ("{\"offset\":0.5,\"length\":1}", "expected"),
      ("{\"offset\":0}", "lie on the disk"), ("{\"length\":512}", "lie on the disk"),
      ("{\"ofset\":0,\"length\":512}", "expected"), ("{}", "not one"), ("[]", "expected"),
      ("null", "expected"),
      ("{\"offset\":0,\"length\":1,\"change_id\":\"7\"}", "not one"),
      ("{\"offset\":0,\"length\":1,\"areas\":7}", "not one"), ("garbage", "expected"),
      ("\u{0}\u{1}", "expected"), (String(repeating: "x", count: 5000), "too many"),
    ])
  func doubtful(_ text: String, _ why: String) {
    do throws(HintRefusal) {
      _ = try read(text)
      Issue.record("\(text) was believed")
    } catch { #expect(error.description.contains(why), "\(error)") }
  }

  @Test("output that was cut off anywhere, at its beginning or its end, is refused")
  func cutOff() {
    let text = Array(Self.good.utf8)
    // Without its last line feed it is whole.
    for count in 0..<(text.count - 2) {
      #expect(throws: HintRefusal.self) { try read(String(decoding: text[..<count], as: UTF8.self)) }
    }
    for start in 1..<text.count {
      #expect(throws: HintRefusal.self) { try read(String(decoding: text[start...], as: UTF8.self)) }
    }
  }

  @Test("whatever bits are flipped, nothing that is believed lies outside the disk")
  func flippedBits() {
    let text = Array(Self.good.utf8)
    let seed = UInt64.random(in: 0...UInt64.max)
    var random = SeededRandom(seed: seed)
    for _ in 0..<2000 {
      var bytes = text
      bytes[Int.random(in: 0..<bytes.count, using: &random)] ^= 1 << UInt8.random(in: 0..<8, using: &random)
      // Whatever comes out, nothing traps; what is believed lies on the disk.
      guard let areas = try? read(String(decoding: bytes, as: UTF8.self)) else { continue }
      #expect(areas.changed?.ranges.allSatisfy { $0.end <= 2 << 20 } ?? true, "seed \(seed)")
    }
  }
}
