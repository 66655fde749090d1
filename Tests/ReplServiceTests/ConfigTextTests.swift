import Glibc
import ReplModel
import Testing

@testable import ReplService

/// What a configuration may look like as a file, and what its values mean.
@Suite("Configuration text")
struct ConfigTextTests {
  static let fingerprint = "sha256:" + String(repeating: "ab", count: 32)
  static let receiver = "receiver: {address: \"dr:7443\", fingerprint: \(fingerprint)}\n"
  static let minimal = receiver + "vms: [/vm/a/a.vmx]\n"

  private func problems(_ bytes: [UInt8]) -> [String] {
    do throws(ConfigError) {
      _ = try SenderConfig.parse(bytes, path: "s.yaml")
      return []
    } catch {
      return error.description.split(separator: "\n").map { String($0) }
    }
  }

  private func problems(_ text: String) -> [String] { problems(Array(text.utf8)) }

  @Test("a minimal sender configuration gets the documented defaults")
  func senderDefaults() throws {
    let config = try SenderConfig.parse(Self.minimal, path: "s.yaml")
    #expect(config.stateDirectory == "/var/lib/repl-sender")
    #expect(config.http == NetworkAddress(host: "127.0.0.1", port: 9811))
    #expect(config.intervalSeconds == 600 && config.rpoSeconds == 900)
    #expect(config.maximumConcurrentPasses == 2 && config.pageSizeBytes == 4096)
    #expect(config.compression == .auto && config.logLevel == .info)
    #expect(config.vms.map(\.vmxPath) == ["/vm/a/a.vmx"])
    #expect(config.vms[0].intervalSeconds == 600 && config.vms[0].rpoSeconds == 900)
    #expect(config.vms[0].name == nil && config.vms[0].freeze == .standard)
    #expect(config.receiver.address == NetworkAddress(host: "dr", port: 7443))
    let fingerprint = try #require(Fingerprint(Self.fingerprint))
    #expect(config.receiver.trust == .pinned([fingerprint]))
  }

  @Test("a minimal receiver configuration gets the documented defaults")
  func receiverDefaults() throws {
    let text =
      "stores: [{name: main, path: /srv/dr/}]\npeers: [{name: a, fingerprint: \(Self.fingerprint)}]\n"
    let config = try ReceiverConfig.parse(text, path: "r.yaml")
    #expect(config.listen == NetworkAddress(host: "0.0.0.0", port: 7443))
    #expect(config.stateDirectory == "/var/lib/repl-receiver")
    #expect(config.stores == [ReceiverConfig.Store(name: "main", path: "/srv/dr")])
    #expect(config.http == NetworkAddress(host: "127.0.0.1", port: 9812))
    #expect(config.displayNameSuffix == " (DR)" && config.networks == [:])
    #expect(config.rpoSeconds == 900 && config.freeSpaceFloorBytes == 1 << 30)
    #expect(config.maximumConnections == 64 && config.logLevel == .info)
    #expect(config.failover == .standard && config.failover.deadlineSeconds == 120)
    #expect(config.authority == nil && config.peers[0].store == nil)
  }

  @Test("every value that is given is taken")
  func senderValues() throws {
    let text = """
      state_dir: /srv/state
      receiver: {address: "[2001:db8::7]:443", ca_file: /etc/ca.pem, allowed_names: [dr, dr2]}
      http: off
      interval: 2h
      rpo: 1d
      max_concurrent_passes: 16
      page_size: 64KiB
      compression: zstd
      log_level: debug
      vms:
        - /vm/a/a.VMX
        - {vmx: /vm/b/b.vmx, name: 007, interval: 30m, rpo: 40m, freeze: {provider: none, allow_fuzzy: true}}
      """
    let config = try SenderConfig.parse(text, path: "s.yaml")
    #expect(config.receiver.address == NetworkAddress(host: "2001:db8::7", port: 443))
    #expect(config.receiver.trust == .authority(caFile: "/etc/ca.pem", allowedNames: ["dr", "dr2"]))
    #expect(config.http == nil && config.stateDirectory == "/srv/state")
    #expect(config.intervalSeconds == 7200 && config.rpoSeconds == 86_400)
    #expect(config.maximumConcurrentPasses == 16 && config.pageSizeBytes == 65_536)
    #expect(config.compression == .zstd && config.logLevel == .debug)
    // The first inherits; a number is a name as it is written.
    #expect(config.vms[0].intervalSeconds == 7200 && config.vms[0].rpoSeconds == 86_400)
    #expect(config.vms[1].name == "007" && config.vms[1].freeze.allowFuzzy)
    #expect(config.vms[1].intervalSeconds == 1800 && config.vms[1].rpoSeconds == 2400)
  }

  @Test("an rpo that is not given grows with the interval")
  func objectiveFollowsInterval() throws {
    let config = try SenderConfig.parse(Self.minimal + "interval: 1h\n", path: "s.yaml")
    #expect(config.rpoSeconds == 5400 && config.vms[0].rpoSeconds == 5400)
  }

  @Test("a byte order mark and CRLF change nothing")
  func markAndLineEnds() throws {
    let plain = try SenderConfig.parse(Self.minimal, path: "s.yaml")
    let crlf = "\u{FEFF}" + Self.minimal.replacing("\n", with: "\r\n")
    #expect(try SenderConfig.parse(crlf, path: "s.yaml") == plain)
  }

  @Test(
    "an empty file, or one of blanks, is refused at its first character",
    arguments: ["", "\n\n", "   ", "# x"])
  func emptyIsRefused(_ text: String) {
    #expect(problems(text) == ["s.yaml:1:1: the file is empty; start from the sample configuration"])
  }

  @Test("a file over one MiB is refused, one of exactly one MiB is read")
  func sizeIsLimited() {
    let padding = 1 << 20
    let fitting = Self.minimal + String(repeating: "#", count: padding - Self.minimal.utf8.count)
    #expect(problems(fitting).isEmpty)
    #expect(problems(fitting + "#").first?.hasPrefix("s.yaml: is larger than 1048576 bytes") == true)
  }

  @Test("bytes that are not UTF-8 are refused at their place")
  func encodingIsChecked() {
    let found = problems(Array("# ä\nrpo: ".utf8) + [0xFF, 0x0A])
    #expect(found == ["s.yaml:2:6: is not UTF-8 text; save the file as UTF-8"])
  }

  @Test("control characters are refused at their place", arguments: [UInt8(0), 1, 0x1B, 0x7F])
  func controlsAreRefused(_ byte: UInt8) {
    let found = problems(Array("# ä\nrpo: ".utf8) + [byte, 0x0A])
    #expect(
      found.first?.hasPrefix("s.yaml:2:6: a control character stands here") == true, "\(found)")
  }

  @Test(
    "a million brackets, braces or dashes end in an error, soon",
    arguments: ["[", "{", "- ", "? ", "&a ", "*a "])
  func nestingIsBounded(_ text: String) {
    let start = ContinuousClock.now
    #expect(!problems(String(repeating: text, count: 500_000 / text.utf8.count)).isEmpty)
    #expect(ContinuousClock.now - start < .seconds(20))
  }

  @Test("random damage to a configuration never crashes the parser", arguments: 0..<4)
  func damageIsSurvived(_ round: Int) {
    var random = SystemRandomNumberGenerator()
    let seed = UInt64.random(in: 0 ... .max, using: &random)
    print("seed \(seed), round \(round)")
    var state = seed
    let original = Array((Self.minimal + "interval: 10m\nhttp: off\n").utf8)
    var failures = 0
    for _ in 0..<500 {
      var bytes = original
      for _ in 0..<3 {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        bytes[Int(state >> 33) % bytes.count] = UInt8(truncatingIfNeeded: state >> 56)
      }
      failures += problems(bytes).isEmpty ? 0 : 1
    }
    #expect(failures > 0)
  }

  @Test("many comment lines with bullets are no anchors")
  func bulletsAreComments() {
    #expect(problems(String(repeating: "  # * a bullet & more\n", count: 100) + Self.minimal).isEmpty)
  }

  @Test("an ampersand or star within a value is text")
  func literalStars() throws {
    let text = Self.receiver + "vms: [{vmx: /vm/a/a.vmx, name: \"*web & co*\"}]\n"
    #expect(try SenderConfig.parse(text, path: "s.yaml").vms[0].name == "*web & co*")
  }

  @Test("more problems than anybody reads are counted")
  func problemsAreCounted() {
    let text = Self.receiver + "vms:\n" + String(repeating: "  - a.vmx\n", count: 60)
    let found = problems(text)
    #expect(found.count == 51)
    #expect(found.last == "s.yaml: 10 more problems are not shown")
  }

  @Test("duplicate keys of a thousand VMs are found in one pass")
  func manyDuplicates() {
    let text = Self.receiver + "vms:\n" + String(repeating: "  - /vm/a/a.vmx\n", count: 1000)
    #expect(problems(text).first == "s.yaml:4:5: vms[1]: the same VM is already given in line 3")
  }

  @Test("a file that is not there, is a directory or a FIFO is refused without waiting")
  func unreadableFiles() throws {
    let folder = try TemporaryFolder()
    defer { folder.remove() }
    mkfifo(folder.path + "/fifo", 0o600)
    for (name, expected) in [
      ("missing", "cannot be opened: No such file or directory"), ("fifo", "is not a regular file"),
      ("", "is not a regular file"),
    ] {
      let path = name.isEmpty ? folder.path : "\(folder.path)/\(name)"
      let error = #expect(throws: ConfigError.self) { try SenderConfig.load(path: path) }
      #expect(error?.description.hasPrefix("\(path): \(expected)") == true, "\(String(describing: error))")
      #expect(error?.remedy == .stopVM)
    }
  }
}

/// A folder that lives as long as a test.
struct TemporaryFolder {
  let path: String

  init() throws {
    var template = Array("/tmp/vmrepl-service-XXXXXX".utf8CString)
    path = try #require(mkdtemp(&template).map { String(cString: $0) })
  }

  /// With everything directly in it.
  func remove() {
    guard let stream = opendir(path) else { return }
    defer {
      closedir(stream)
      rmdir(path)
    }
    while let entry = readdir(stream) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if name != "." && name != ".." { unlink("\(path)/\(name)") }
    }
  }
}
