import Foundation
import Testing

/// The systemd units: they load, and they are closed as far as the daemons allow.
@Suite("systemd units", .enabled(if: Judge.isUsable("systemd-analyze"), "systemd-analyze is not installed"))
struct UnitFileTests {
  static let folder = ConfigSampleTests.repository.appendingPathComponent("systemd")
  static let units = ["repl-sender", "repl-receiver"]
  static let examples = [
    "sender-datastore", "sender-freeze", "sender-block-devices", "receiver-store", "receiver-block-devices",
  ]

  /// A copy whose program exists, optionally with a drop-in; `systemd-analyze verify` looks for the program.
  private func copy(_ unit: String, dropIn: String? = nil) throws -> (folder: URL, file: URL) {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    let original = try String(
      contentsOf: Self.folder.appendingPathComponent("\(unit).service"), encoding: .utf8)
    let file = folder.appendingPathComponent("\(unit).service")
    try #require(original.contains("ExecStart=/usr/bin/\(unit) run --config /etc/vmrepl/"))
    try original.replacing("ExecStart=/usr/bin/\(unit) ", with: "ExecStart=/bin/true ")
      .write(to: file, atomically: true, encoding: .utf8)
    if let dropIn {
      let drop = folder.appendingPathComponent("\(unit).service.d")
      try FileManager.default.createDirectory(at: drop, withIntermediateDirectories: true)
      try FileManager.default.copyItem(
        at: Self.folder.appendingPathComponent("examples/\(dropIn).conf"),
        to: drop.appendingPathComponent("example.conf"))
    }
    return (folder, file)
  }

  @Test("a unit is loaded without a complaint", arguments: units)
  func verify(_ unit: String) throws {
    let (folder, file) = try copy(unit)
    defer { try? FileManager.default.removeItem(at: folder) }
    let result = try Judge.run("systemd-analyze", ["verify", "--man=no", file.path])
    #expect(result.status == 0, "\(result.output)")
    #expect(result.output == "")
  }

  @Test("a unit's exposure is 1.5 or better", arguments: units)
  func security(_ unit: String) throws {
    let (folder, file) = try copy(unit)
    defer { try? FileManager.default.removeItem(at: folder) }
    let result = try Judge.run(
      "systemd-analyze", ["security", "--offline=true", "--threshold=15", file.path])
    #expect(result.status == 0, "\(result.output)")
    #expect(result.output.contains("Overall exposure level"))
  }

  @Test("a drop-in example is loaded without a complaint", arguments: examples)
  func dropIn(_ example: String) throws {
    let unit = example.hasPrefix("sender") ? "repl-sender" : "repl-receiver"
    let (folder, file) = try copy(unit, dropIn: example)
    defer { try? FileManager.default.removeItem(at: folder) }
    let result = try Judge.run("systemd-analyze", ["verify", "--man=no", file.path])
    #expect(result.status == 0, "\(result.output)")
    #expect(result.output == "")
  }

  private static let script = "cbt-changes"

  @Test("every example is tested")
  func examplesAreKnown() throws {
    let names = try FileManager.default.contentsOfDirectory(
      atPath: Self.folder.appendingPathComponent("examples").path
    ).filter { !$0.hasSuffix(".yaml") }
    #expect(names.sorted() == (Self.examples.map { "\($0).conf" } + [Self.script]).sorted())
    // It needs a vCenter to run: only that it is a script can be seen here.
    let path = Self.folder.appendingPathComponent("examples/\(Self.script)").path
    let result = try Judge.run("bash", ["-n", path])
    #expect(result.status == 0, "\(result.output)")
  }

  @Test("a unit says what the daemon relies on", arguments: units)
  func directives(_ unit: String) throws {
    let text = try String(contentsOf: Self.folder.appendingPathComponent("\(unit).service"), encoding: .utf8)
    let lines = Set(text.split(separator: "\n"))
    for line in [
      "Type=notify", "User=\(unit)", "StateDirectory=\(unit)", "StateDirectoryMode=0700", "LimitCORE=0",
      "RestartPreventExitStatus=78", "WatchdogSec=60", "UMask=0077",
    ] {
      #expect(lines.contains(Substring(line)), "missing: \(line)")
    }
    let users = try String(
      contentsOf: Self.folder.appendingPathComponent("vmrepl.sysusers.conf"), encoding: .utf8)
    #expect(users.contains("\nu      \(unit) "))
  }
}
