import ReplModel
import Testing

@testable import ReplProtocol

@Suite("banner")
struct BannerTests {
  @Test("the banner is one line of the fixed grammar, and what follows stays unread")
  func goldenBanner() throws {
    let banner = try #require(Banner(product: "0.1.0", versions: 1...2))
    let line = "vmrepl 0.1.0 protocol 1-2\n"
    #expect(banner.encode() == Array(line.utf8))
    let parsed = try raw(banner.encode() + [15, 0, 0, 0]) { (b) throws(ProtocolError) in
      try Banner.parse(prefix: b)
    }
    #expect(parsed?.banner == banner)
    #expect(parsed?.byteCount == 26)
  }

  @Test("a banner cut at any byte is not complete and not an error")
  func cutAtEveryByte() throws {
    let line = Array("vmrepl 0.1.0 protocol 1-2\n".utf8)
    for cut in 0..<line.count {
      let parsed = try raw(Array(line[..<cut])) { (b) throws(ProtocolError) in
        try Banner.parse(prefix: b)
      }
      #expect(parsed == nil, "\(cut) bytes")
    }
  }

  static let foreign: [String] = [
    "GET / HTTP/1.1\r\n", "SSH-2.0-OpenSSH_9.2\r\n", "X", "\n", "vmrepl  0.1.0 protocol 1-2\n",
    "vmrepl 0.1.0 protocol 1-2 \n", "vmrepl 0.1.0 protocol 1-2\r\n", "vmrepl 0.1.0 protocol 2-1\n",
    "vmrepl 0.1.0 protocol 0-1\n", "vmrepl 0.1.0 protocol 01-1\n",
    "vmrepl 0.1.0 protocol 1-65536\n",
    "vmrepl 0.1.0 protocol 1\n", "vmrepl 0.1.0 protocol 1-2-3\n", "vmrepl 0.1.0 protocol -1-2\n",
    "vmrepl 0.1.0 protocol +1-2\n", "vmrepl 0.1/0 protocol 1-2\n", "vmrepl  protocol 1-2\n",
    "vmrepl \(String(repeating: "1", count: 65)) protocol 1-2\n", "VMREPL 0.1.0 protocol 1-2\n",
    "vmrepl \(String(repeating: "1", count: 200))",
  ]

  @Test("anything else is refused as soon as it cannot become a banner", arguments: foreign)
  func foreignBytes(text: String) {
    let error = #expect(throws: ProtocolError.self) {
      try raw(Array(text.utf8)) { (b) throws(ProtocolError) in try Banner.parse(prefix: b) }
    }
    guard case .notABanner = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect(error?.number == .badFrame)
  }

  @Test("a banner of terminal escapes and broken UTF-8 reaches the error printable")
  func escapesAreMadePrintable() throws {
    let bytes: [UInt8] = Array("\u{1B}[31mroot\u{202E}\u{0}".utf8) + [0xFF, 0x0A]
    let error = #expect(throws: ProtocolError.self) {
      try raw(bytes) { (b) throws(ProtocolError) in try Banner.parse(prefix: b) }
    }
    let text = try #require(error).description
    #expect(text.contains("?[31mroot??"))
    #expect(!text.unicodeScalars.contains { $0.value < 0x20 || $0.value == 0x202E })
  }

  @Test("128 bytes are read, the 129th byte is never waited for")
  func lengthLimit() throws {
    let banner = try #require(
      Banner(product: String(repeating: "9", count: 64), versions: UInt16.max...UInt16.max))
    #expect(banner.encode().count <= Banner.maximumByteCount)
    let endless = Array("vmrepl ".utf8) + [UInt8](repeating: 0x31, count: 121)
    #expect(throws: ProtocolError.self) {
      try raw(endless) { (b) throws(ProtocolError) in try Banner.parse(prefix: b) }
    }
  }

  @Test("the newest common version is used, and both sides find the same one")
  func newestCommonVersion() throws {
    let old = try #require(Banner(product: "0.1.0", versions: 1...2))
    let new = try #require(Banner(product: "0.2.0", versions: 2...5))
    #expect(try old.agree(with: new, as: .sender) == 2)
    #expect(try new.agree(with: old, as: .receiver) == 2)
    #expect(try new.agree(with: new, as: .sender) == 5)
  }

  @Test(
    "without a common version both sides say the same sentence with both ranges and the next step")
  func versionMismatch() throws {
    let old = try #require(Banner(product: "0.1.0", versions: 1...2))
    let new = try #require(Banner(product: "0.3.0", versions: 3...4))
    let sentence =
      "no common protocol version: sender 0.1.0 speaks 1-2, receiver 0.3.0 speaks 3-4; "
      + "upgrade the sender first"
    for (local, remote, program) in [(old, new, Banner.Program.sender), (new, old, .receiver)] {
      let error = #expect(throws: ProtocolError.self) { try local.agree(with: remote, as: program) }
      #expect(error?.description == sentence)
      #expect(error?.number == .versionMismatch)
    }
    let turned = #expect(throws: ProtocolError.self) { try new.agree(with: old, as: .sender) }
    #expect(turned?.description.hasSuffix("upgrade the receiver first") == true)
  }
}
