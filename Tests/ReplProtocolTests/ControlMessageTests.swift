import Foundation
import ReplCompression
import ReplModel
import Testing

@testable import ReplProtocol

@Suite("control messages")
struct ControlMessageTests {
  private static func edited(_ type: MessageType, _ old: String, _ new: String) throws -> String {
    let bytes = try #require(try Fixture.payloads().first { $0.type == type }).bytes
    let json = String(decoding: bytes, as: UTF8.self)
    let parts = json.split(separator: old, maxSplits: 1, omittingEmptySubsequences: false)
    try #require(parts.count == 2, "\(type) has no \(old)")
    return parts[0] + new + parts[1]
  }

  private static let long = String(repeating: "x", count: 4096)

  /// What is replaced in the fixture's JSON, and by what.
  static let edits: [(name: String, type: MessageType, old: String, new: String)] = [
    ("a product with a newline", .hello, "0.1.0", #"0.1\n0"#),
    ("protocol 0", .hello, #""protocol":1"#, #""protocol":0"#),
    ("protocol 70000", .hello, #""protocol":1"#, #""protocol":70000"#),
    ("a negative protocol", .hello, #""protocol":1"#, #""protocol":-1"#),
    ("another role", .hello, #""source""#, #""spectator""#),
    ("a peer name of 4096 bytes", .hello, #""dr""#, "\"\(long)\""),
    ("an empty peer name", .hello, #""dr""#, #""""#),
    ("an empty feature", .hello, #""tree""#, #""""#),
    ("a feature of 65 bytes", .hello, #""tree""#, "\"\(String(repeating: "f", count: 65))\""),
    (
      "65 features", .hello, #""tree""#, Array(repeating: #""f""#, count: 64).joined(separator: ",")
    ),
    ("17 codecs", .hello, #""zstd""#, Array(repeating: #""c""#, count: 15).joined(separator: ",")),
    ("no zlib", .hello, #""zlib","#, ""),
    ("a batch bound below the largest page", .hello, "1048576", "65535"),
    ("a batch bound above 1 MiB", .hello, "1048576", "1048577"),
    ("a bound of no disks", .hello, #""disks":64"#, #""disks":0"#),
    ("a bound of 65 disks", .hello, #""disks":64"#, #""disks":65"#),
    ("a key of 31 bytes", .key, "0707", "07"),
    ("a key with a letter g", .key, "0707", "0g07"),
    ("a key ID of 31 digits", .key, "55555555-5555", "5555555-5555"),
    ("a name of 256 bytes", .offer, "web01", String(repeating: "n", count: 256)),
    ("an empty name", .offer, "web01", ""),
    (
      "a disk twice", .offer, "bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb",
      "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa"
    ),
    ("a slot twice", .offer, "nvme0:1", "scsi0:0"),
    ("a slot that is a path", .offer, "nvme0:1", "../../etc/cron.d/x"),
    ("a slot outside VMware's limits", .offer, "scsi0:0", "scsi4:0"),
    ("a disk of no bytes", .offer, "65536", "0"),
    ("a disk of 2^63 bytes", .offer, "65536", "9223372036854775808"),
    ("a disk of negative size", .offer, "65536", "-4096"),
    ("a disk above 64 TiB", .offer, "65536", "70368744177665"),
    ("a page size of 4095", .offer, #""pageSizeBytes":4096"#, #""pageSizeBytes":4095"#),
    ("a page size of 0", .offer, #""pageSizeBytes":4096"#, #""pageSizeBytes":0"#),
    ("a fact with a newline", .offer, "lsilogic", #"lsi\nuuid.bios"#),
    ("a fact with a quote", .offer, "lsilogic", #"lsi\"logic"#),
    ("a fact key with a blank", .offer, "adapterType", "adapter type"),
    ("a fact key of 257 bytes", .offer, "adapterType", String(repeating: "k", count: 257)),
    ("a fact value of 257 bytes", .offer, "lsilogic", String(repeating: "v", count: 257)),
    (
      "65 facts", .offer, #"{"key":"adapterType","value":"lsilogic"}"#,
      Array(repeating: #"{"key":"k","value":"v"}"#, count: 65).joined(separator: ",")
    ),
    ("a hash of 63 digits", .offer, #""vmxHash":"cc"#, #""vmxHash":"c"#),
    ("a date without a zone", .offer, "05.123Z", "05.123"),
    ("an unknown label", .offer, "crash-consistent", "lucky"),
    ("a negative epoch", .offer, #""epoch":3"#, #""epoch":-3"#),
    ("other disks than offered", .accept, "bbbbbbbb-bbbb-4bbb", "bbbbbbbb-bbbb-4bbc"),
    ("an unknown mode", .accept, #""seed""#, #""merge""#),
    ("an unknown file", .accept, #"["vmx"]"#, #"["/etc/shadow"]"#),
    ("a file twice", .accept, #"["vmx"]"#, #"["vmx","vmx"]"#),
    ("a file that was not offered", .accept, #"["vmx"]"#, #"["nvram"]"#),
    ("a negative journal budget", .accept, "1073741824", "-1"),
    ("a window of 65535 bytes", .accept, "16777216", "65535"),
    ("a window above 1 GiB", .accept, "16777216", "1073741825"),
    ("point number 0", .accept, #""number":7"#, #""number":0"#),
    ("a negative disk", .nodesRequest, #""disk":0"#, #""disk":-1"#),
    ("a foreign disk", .nodesRequest, #""disk":0"#, #""disk":2"#),
    ("disk 2^63 - 1", .nodesRequest, #""disk":0"#, #""disk":9223372036854775807"#),
    ("level 0", .nodesRequest, #""level":1"#, #""level":0"#),
    ("a level above the top", .nodesRequest, #""level":1"#, #""level":2"#),
    ("a level far above the top", .nodesRequest, #""level":1"#, #""level":9"#),
    ("no nodes", .nodesRequest, #""count":1"#, #""count":0"#),
    ("a negative count", .nodesRequest, #""count":1"#, #""count":-1"#),
    ("8193 nodes", .nodesRequest, #""count":1"#, #""count":8193"#),
    ("nodes past the end", .nodesRequest, #""first":0"#, #""first":1"#),
    ("first plus count past 2^63", .nodesRequest, #""first":0"#, #""first":9223372036854775807"#),
    ("a negative first", .nodesRequest, #""first":0"#, #""first":-1"#),
    ("65 leaves", .leavesRequest, #""count":1"#, #""count":65"#),
    ("leaves past the end", .leavesRequest, #""count":1"#, #""count":2"#),
    ("a negative leaf", .leavesRequest, #""first":0"#, #""first":-1"#),
    ("first leaf 2^63 - 1", .leavesRequest, #""first":0"#, #""first":9223372036854775807"#),
    ("a foreign disk", .leavesRequest, #""disk":1"#, #""disk":63"#),
    ("an ack of a frame that was not sent", .ack, "42", "100"),
    ("a negative ack", .ack, "42", "-1"),
    ("an ack of 2^64", .ack, "42", "18446744073709551616"),
    ("no pages", .resend, #"{"count":2,"first":1},{"count":1,"first":9}"#, ""),
    ("a range of no pages", .resend, #""count":2"#, #""count":0"#),
    ("overlapping ranges", .resend, #""count":2"#, #""count":9"#),
    ("descending ranges", .resend, #""first":9"#, #""first":0"#),
    ("pages past the end", .resend, #""first":9"#, #""first":16"#),
    (
      "pages that overflow", .resend, #"{"count":1,"first":9}"#,
      #"{"count":9223372036854775807,"first":9}"#
    ),
    ("a negative page", .resend, #""first":1"#, #""first":-1"#),
    (
      "4097 ranges", .resend, #"{"count":2,"first":1},{"count":1,"first":9}"#,
      (0..<4097).map { #"{"count":1,"first":\#($0 * 2)}"# }.joined(separator: ",")
    ),
    ("a negative page count", .commit, #""dataPages":5"#, #""dataPages":-5"#),
    ("a page count above 2^48", .commit, #""zeroPages":2"#, #""zeroPages":281474976710657"#),
    ("a negative number of batches", .commit, #""batches":2"#, #""batches":-2"#),
    ("other disks than offered", .commit, "bbbbbbbb-bbbb-4bbb", "bbbbbbbb-bbbb-4bbc"),
    ("a point of another VM", .committed, "11111111-1111-4111", "11111111-1111-4112"),
    ("a point of another pass", .committed, "22222222-2222-4222", "22222222-2222-4223"),
    ("a point of another receiver", .committed, "44444444-4444-4444", "44444444-4444-4445"),
    ("a point frozen at another time", .committed, #""frozenAt":"2026"#, #""frozenAt":"2027"#),
    ("a point with another root", .committed, "cccc", "cccd"),
    ("a point with another size", .committed, "65536", "65537"),
    ("a point with a foreign disk", .committed, "bbbbbbbb-bbbb-4bbb", "bbbbbbbb-bbbb-4bbc"),
    ("a point that is not new", .committed, #""number":8"#, #""number":7"#),
    ("a point of an older epoch", .committed, #""epoch":3"#, #""epoch":2"#),
    ("a settled point 0", .settled, #""number":8"#, #""number":0"#),
    ("an error number above 65535", .error, "22", "65536"),
    ("an error without a text", .error, #""text":"promoted""#, #""words":"promoted""#),
  ]

  @Test("a value outside its limits is refused with the field named", arguments: edits.indices)
  func outOfLimits(index: Int) throws {
    let (name, type, old, new) = Self.edits[index]
    let json = try Self.edited(type, old, new)
    let error = #expect(throws: ProtocolError.self, "\(type): \(name)") {
      try Fixture.decode(type, Array(json.utf8))
    }
    switch error {
    case .value(let found, _, _, _), .json(let found, _): #expect(found == type)
    default: Issue.record("\(type): \(name): \(String(describing: error))")
    }
    #expect((error?.description.count ?? 0) < 700)
    #expect(error?.number == .badFrame)
  }

  @Test("unknown members are ignored and null is absent")
  func unknownMembers() throws {
    let json = try Self.edited(
      .offer, #""epoch":3"#, #""epoch":null,"later":{"deep":[1,{"a":[]}]}"#)
    let offer = try Offer.decode(Array(json.utf8))
    #expect(offer.epoch == nil)
    #expect(offer.vm == Fixture.vm)
  }

  static let notJSON: [(name: String, bytes: [UInt8])] = [
    ("an object that does not end", Array("{ ".utf8)), ("an array", Array("[]".utf8)),
    ("a string", Array("\"a\"".utf8)),
    ("two objects", Array("{}{}".utf8)),
    ("bytes after the object", Array("{\"sequence\":1} x".utf8)),
    ("a byte order mark", [0xEF, 0xBB, 0xBF] + Array("{\"sequence\":1}".utf8)),
    ("UTF-16", Array("{\"sequence\":1}".utf8).flatMap { [$0, 0] }),
    ("broken UTF-8", Array("{\"".utf8) + [0xFF] + Array("\":1}".utf8)),
    ("a NUL", Array("{\"sequence\":1}".utf8) + [0]),
    ("a comment", Array("{/**/\"sequence\":1}".utf8)),
    ("a trailing comma in quotes", Array("{\"sequence\":\"1\"}".utf8)),
    ("a fraction", Array("{\"sequence\":1.5}".utf8)),
    ("closing brackets only", Array("{]]]]}".utf8)),
    ("a huge exponent", Array("{\"sequence\":1e999999999}".utf8)),
  ]

  @Test("what is not one JSON object in UTF-8 is refused", arguments: notJSON.indices)
  func notJSONIsRefused(index: Int) {
    let (name, bytes) = Self.notJSON[index]
    let error = #expect(throws: ProtocolError.self, "\(name)") { try Ack.decode(bytes) }
    guard case .json(.ack, _) = error else {
      Issue.record("\(name): \(String(describing: error))")
      return
    }
  }

  @Test("JSON nested 100,000 deep is refused before it is parsed", arguments: ["[", "{\"a\":"])
  func depthBomb(opening: String) {
    let bytes = Array(("{\"x\":" + String(repeating: opening, count: 100_000)).utf8)
    #expect(throws: ProtocolError.nestedTooDeep(.offer, limit: 16)) { try Offer.decode(bytes) }
  }

  @Test("brackets inside strings do not count as nesting")
  func bracketsInStrings() throws {
    let name = String(repeating: "[{", count: 60) + #"\"[["#
    let json = try Self.edited(.offer, "web01", name)
    #expect(try Offer.decode(Array(json.utf8)).displayName.hasPrefix("[{[{"))
  }

  @Test("a million elements under an unknown member or in place of a disk list end quickly")
  func wideJSON() throws {
    let wide = String(repeating: "0,", count: 500_000) + "0"
    let clock = ContinuousClock()
    let elapsed = try clock.measure {
      let ack = try Ack.decode(Array("{\"later\":[\(wide)],\"sequence\":1}".utf8))
      #expect(ack == Ack(sequence: 1))
      #expect(throws: ProtocolError.self) {
        try Fixture.decode(.resend, Array("{\"disk\":0,\"pages\":[\(wide)]}".utf8))
      }
    }
    #expect(elapsed < .seconds(20))
  }

  @Test("a message longer than 1 MiB is neither read nor written")
  func tooLong() {
    let bytes = Array("{\"later\":\"\(String(repeating: "a", count: 1 << 20))\"}".utf8)
    #expect(
      throws: ProtocolError.payloadLength(.goodbye, found: bytes.count, allowed: 2...(1 << 20))
    ) {
      try Goodbye.decode(bytes)
    }
    var offer = Fixture.offer
    let fact = DiskFacts.Entry(
      key: String(repeating: "k", count: 256), value: String(repeating: "v", count: 256))
    offer.disks = (0..<64).map { index in
      var disk = Fixture.offer.disks[0]
      disk.disk = DiskID(high: 0, low: UInt64(index))
      disk.slot = DiskSlot(bus: .scsi, controller: 0, unit: index)!
      disk.facts = DiskFacts(entries: Array(repeating: fact, count: 64))
      return disk
    }
    let error = #expect(throws: ProtocolError.self) { try offer.encode() }
    #expect(error?.number == .limit)
  }

  @Test("every control message cut at every byte is refused")
  func cutAtEveryByte() throws {
    for (type, bytes) in try Fixture.payloads() where bytes.first == UInt8(ascii: "{") {
      for cut in 0..<bytes.count {
        #expect(throws: ProtocolError.self, "\(type) at \(cut)") {
          try Fixture.decode(type, Array(bytes[..<cut]))
        }
      }
    }
  }

  @Test("a value that the peer would refuse is not sent")
  func encodingChecks() {
    var hello = Fixture.hello
    hello.peerName = String(repeating: "n", count: 4096)
    #expect(
      throws: ProtocolError.value(
        .hello, field: "peerName", found: "4096 bytes", expected: "1 to 255")
    ) { try hello.encode() }
    #expect(throws: ProtocolError.self) {
      try KeyMessage(key: KeyMessage.Key(id: Fixture.key, bytes: [1])).encode()
    }
  }

  @Test("a digest key that was damaged on its way is refused, and one of an older peer has no check")
  func keyChecksum() throws {
    let key = KeyMessage.Key(id: Fixture.key, bytes: (0..<32).map { UInt8($0) })
    let json = String(decoding: try KeyMessage(key: key).encode(), as: UTF8.self)
    #expect(try KeyMessage.decode(Array(json.utf8)).key == key)
    for (whole, damaged) in [("0001020304", "0001020305"), ("55555555-5555", "55555545-5555")] {
      let text = json.replacingOccurrences(of: whole, with: damaged)
      let error = #expect(throws: ProtocolError.self) { try KeyMessage.decode(Array(text.utf8)) }
      #expect(text != json && error?.description.contains("checksum differs") == true)
    }
    let start = try #require(json.range(of: #""crc32c":""#))
    let old = json[..<start.lowerBound] + json[json.index(start.upperBound, offsetBy: 10)...]
    #expect(try KeyMessage.decode(Array(old.utf8)).key == key)
  }

  @Test("a digest key never appears in a description, a dump or an error")
  func keyIsSecret() throws {
    let message = KeyMessage(
      key: KeyMessage.Key(id: Fixture.key, bytes: [UInt8](repeating: 0x5E, count: 32)))
    var dumped = ""
    dump(message, to: &dumped)
    let cut = String(repeating: "5e", count: 31)
    let error = #expect(throws: ProtocolError.self) {
      try KeyMessage.decode(Array(#"{"key":{"id":"\#(Fixture.key)","hex":"\#(cut)"}}"#.utf8))
    }
    for text in [
      "\(message)", String(reflecting: message), dumped, try #require(error).description,
    ] {
      #expect(!text.contains("5e5e") && !text.contains("94"), "\(text)")
    }
  }
}
