/// What a value gives away about a name that no rule knows.
enum StubValue {
  /// Why a value must not get into the stub; nil when nothing speaks against it.
  static func objection(to value: String) -> String? {
    if value.utf8.contains(where: { $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: "\\") }) {
      return "its value may name a file, directory or network address"
    }
    let lowered = value.lowercased()
    if fileSuffixes.contains(where: { lowered.hasSuffix($0) }) {
      return "its value names a file that is not copied"
    }
    if namesAddress(lowered) { return "its value may name a network endpoint" }
    if value.unicodeScalars.contains("\u{FFFD}") {
      return "its value holds characters that could not be read"
    }
    return nil
  }

  private static let fileSuffixes = [
    ".vmdk", ".iso", ".flp", ".img", ".nvram", ".log", ".hlog", ".vswp", ".vmss", ".vmsn", ".vmem", ".vmsd",
    ".vmxf",
    ".vmx", ".rom", ".bin", ".sh", ".py", ".pl", ".bat", ".cmd", ".ps1", ".vbs", ".exe", ".dll", ".so",
    ".xml", ".pipe",
  ]

  /// `10.0.0.1`, `10.0.0.1:902`, `fe80::1`, `tcp:host:7`, `log.example.org:514`, `localhost`.
  private static func namesAddress(_ value: String) -> Bool {
    if value.hasPrefix("localhost") || value.contains("::") { return true }
    let schemes = [
      "tcp:", "udp:", "telnet:", "telnets:", "file:", "pipe:", "unix:", "http:", "https:", "ssh:",
    ]
    if schemes.contains(where: { value.hasPrefix($0) }) { return true }
    let parts = value.split(separator: ":", omittingEmptySubsequences: false)
    // A host has a dot; `scsi0:0` has none.
    if parts.count == 2, parts[0].contains("."), UInt16(parts[1]) != nil { return true }
    return value.split(whereSeparator: { $0 == " " || $0 == "," || $0 == ":" || $0 == "=" }).contains {
      word in
      let numbers = word.split(separator: ".", omittingEmptySubsequences: false)
      return numbers.count == 4 && numbers.allSatisfy { UInt8($0) != nil }
    }
  }
}
