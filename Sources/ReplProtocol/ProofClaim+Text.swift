import ReplModel

extension ProofClaim {
  /// The text that is signed, UTF-8: one fact a line, each ended by a line feed. The page ProofStatement
  /// fixes it; equal claims give equal bytes.
  public var signedText: String {
    var lines = [
      "vmrepl proof claim 1",
      "role: \(role.rawValue)",
      "vm: \(vm)",
      "name: \(SafeText.printable(name))",
      "receiver: \(receiver)",
      "point: \(point)",
      "pass: \(pass)",
      "frozen-at: \(frozenAt)",
      "read-from: \(readFrom)",
      "read-until: \(readUntil)",
      "fingerprint: \(fingerprint)",
    ]
    if let answers { lines.append("answers: \(answers)") }
    for disk in disks { lines += disk.lines }
    return lines.map { $0 + "\n" }.joined()
  }
}

extension ProofClaim.Disk {
  fileprivate var lines: [String] {
    var lines = [
      "disk: \(disk)",
      "slot: \(slot)",
      "size: \(grid.sizeBytes)",
      "page-size: \(grid.pageSizeBytes)",
      "key: \(keyID)",
    ]
    if let root { lines.append("root: \(root)") }
    if let sha256 { lines.append("sha256: \(sha256)") }
    if let unreadable {
      let place = unreadable.offsetBytes.map { "\($0)" } ?? "-"
      let code = unreadable.systemCode.map { "\($0)" } ?? "-"
      lines.append("unreadable: \(place) \(code) \(SafeText.printable(unreadable.cause))")
    }
    if let differing {
      let places = differing.offsetsBytes.map { " \($0)" }.joined()
      lines.append("differing-pages: \(differing.pages) at\(places)")
    }
    if let verdict { lines.append("verdict: \(verdict.rawValue)") }
    return lines
  }
}
