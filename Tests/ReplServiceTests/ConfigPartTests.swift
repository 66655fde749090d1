import Testing

@testable import ReplService

/// The small parts of the configuration: amounts, addresses, suggestions, command templates.
@Suite("Configuration parts")
struct ConfigPartTests {
  @Test(
    "durations have a unit",
    arguments: [
      ("90s", 90.0), ("10m", 600), ("2h", 7200), ("1d", 86_400), ("1 h", 3600), ("0s", 0), ("", nil),
      ("10", nil),
      ("m", nil), ("1.5h", nil), ("-1s", nil), ("1h30m", nil), ("10M", nil), ("10  m", nil), ("１０m", nil),
      ("99999999999999999999s", nil), ("9223372036854775807d", nil),
    ] as [(String, Double?)])
  func durations(text: String, expected: Double?) { #expect(QuantityText.seconds(text) == expected) }

  @Test(
    "sizes have a unit, and an i means 1024",
    arguments: [
      ("64KiB", 65_536), ("1GiB", 1 << 30), ("500MB", 500_000_000), ("1 TiB", 1 << 40), ("0B", 0),
      ("1kB", 1000),
      ("1KB", 1000), ("7TB", 7_000_000_000_000), ("1024", nil), ("GiB", nil), ("1gib", nil), ("1.5GiB", nil),
      ("9999999999TiB", nil), ("", nil),
    ] as [(String, Int64?)])
  func sizes(text: String, expected: Int64?) { #expect(QuantityText.bytes(text) == expected) }

  @Test("amounts are written in the largest unit without a rest")
  func amountsAreWritten() {
    #expect(QuantityText.text(seconds: 604_800) == "7d" && QuantityText.text(seconds: 90) == "90s")
    #expect(QuantityText.text(seconds: 5400) == "90m" && QuantityText.text(seconds: 0) == "0s")
    #expect(QuantityText.text(bytes: 1 << 30) == "1GiB" && QuantityText.text(bytes: 1000) == "1000B")
  }

  @Test(
    "an address is a host and a port",
    arguments: [
      ("dr.example.com:7443", "dr.example.com", 7443), ("192.0.2.1:1", "192.0.2.1", 1),
      ("[::1]:65535", "::1", 65535),
      ("[::]:0", "::", 0), ("a_b-c:80", "a_b-c", 80),
    ])
  func addresses(text: String, host: String, port: Int) {
    #expect(NetworkAddress(text) == NetworkAddress(host: host, port: port))
    #expect(NetworkAddress(text)?.description == text)
  }

  @Test(
    "what is no address is refused",
    arguments: [
      "", ":", "host", "host:", ":80", "host:65536", "host:-1", "host:+80", "host:80 ", " host:80", "::1:80",
      "[::1]",
      "[host]:80", "[::1:80", "ho st:80", "http://host:80", "-host:80", ".host:80", "host:８０", "h\u{0}st:80",
      "hôst:80", "[fe80::1%eth0]:80",
    ])
  func noAddresses(_ text: String) { #expect(NetworkAddress(text) == nil) }

  @Test("loopback is what no other machine reaches")
  func loopback() {
    for host in ["127.0.0.1", "127.9.9.9", "::1", "localhost"] {
      #expect(NetworkAddress(host: host, port: 1).isLoopback)
    }
    for host in ["0.0.0.0", "::", "192.0.2.1", "127.example.com", "127.0.0.1.example.com", "128.0.0.1"] {
      #expect(!NetworkAddress(host: host, port: 1).isLoopback)
    }
  }

  @Test(
    "the suggestion is what was probably meant",
    arguments: [
      ("intervall", "interval"), ("statedir", "state_dir"), ("HTTP", "http"), ("vm", "vms"),
      ("lgo_level", "log_level"),
      ("compresion", "compression"), ("zzz", nil), ("", nil), ("receiver_address", nil),
    ] as [(String, String?)])
  func suggestions(word: String, expected: String?) {
    #expect(Suggestion.closest(to: word, among: SenderConfigSchema.keys) == expected)
  }

  @Test(
    "the edit distance counts insertions, removals, replacements and swaps",
    arguments: [
      ("", "", 0), ("a", "", 1), ("", "abc", 3), ("abc", "acb", 1), ("kitten", "sitting", 3), ("ab", "ba", 1),
    ])
  func distances(left: String, right: String, expected: Int) {
    let (one, other) = (Array(left.unicodeScalars), Array(right.unicodeScalars))
    #expect(Suggestion.distance(one, other) == expected)
    #expect(Suggestion.distance(other, one) == expected)
  }

  @Test("every exit code has a meaning, and the help lists it")
  func exitCodes() {
    #expect(ExitCode.allCases.map(\.rawValue) == [0, 1, 64, 65, 69, 73, 74, 75, 77, 78])
    for code in ExitCode.allCases { #expect(ExitCode.helpText.contains("\(code.rawValue)  \(code.meaning)")) }
  }

  @Test("http and listen on one port are refused in the line of http")
  func onePort() throws {
    let text = """
      listen: 0.0.0.0:9900
      http: 127.0.0.1:9900
      stores: [{name: main, path: /srv/dr}]
      peers: [{name: a, fingerprint: "sha256:\(String(repeating: "0", count: 64))"}]
      """
    let error = #expect(throws: ConfigError.self) { try ReceiverConfig.parse(text, path: "r.yaml") }
    #expect(error?.description.hasPrefix("r.yaml:2:") == true)
    #expect(error?.description.contains("9900") == true)
    let free = text.replacing("9900", with: "0")
    #expect(throws: Never.self) { try ReceiverConfig.parse(free, path: "r.yaml") }
  }

  @Test("stores overlap when one is the other or lies in it")
  func overlaps() {
    #expect(ReceiverConfigSchema.overlaps("/a", "/a") && ReceiverConfigSchema.overlaps("/a/b", "/a"))
    #expect(ReceiverConfigSchema.overlaps("/", "/a") && ReceiverConfigSchema.overlaps("/a", "/a/b/c"))
    #expect(!ReceiverConfigSchema.overlaps("/a", "/ab") && !ReceiverConfigSchema.overlaps("/a/b", "/a/c"))
  }
}
