import ReplModel
import Testing

@testable import ReplService

/// Settings of single VMs at the receiver.
@Suite("Settings of a VM") struct VMConfigTests {
  private static let key = "sha256:" + String(repeating: "ab", count: 32)
  private static let otherKey = "sha256:" + String(repeating: "cd", count: 32)
  private static let known = VMID(high: 0x564d, low: 1)
  private static let other = VMID(high: 0x564d, low: 2)

  private func config(_ vms: String, peers: Int = 2) throws -> ReceiverConfig {
    let all = ["{name: a, fingerprint: \(Self.key)}", "{name: b, fingerprint: \(Self.otherKey)}"]
    return try ReceiverConfig.parse(
      "stores: [{name: main, path: /srv/dr}]\npeers: [\(all.prefix(peers).joined(separator: ", "))]\n" + vms,
      path: "r.yaml")
  }

  @Test("a UUID goes before a name, a name counts for its peer's VMs alone, and the rest gets what all have")
  func choice() throws {
    let config = try config(
      """
      retention: {last: 9}
      vms:
        - {vm: scratch, peer: a, retention: {last: 1, floor: 0s}}
        - {vm: \(Self.known), retention: {last: 7, floor: 7d}}
      """)
    func last(_ vm: VMID, _ name: String, _ peer: String) -> Int {
      config.retention(of: vm, called: name, from: peer).last
    }
    #expect(last(Self.known, "scratch", "a") == 7)
    #expect(last(Self.other, "scratch", "a") == 1)
    #expect(last(Self.other, "scratch", "b") == 9)
    #expect(last(Self.other, "web01", "a") == 9)
  }

  @Test("with one sender a name needs no peer; with more it does, and the text says so")
  func nameAlone() throws {
    let vms = "vms: [{vm: scratch, retention: {last: 1}}]\n"
    #expect(try config(vms, peers: 1).retention(of: Self.other, called: "scratch", from: "a").last == 1)
    let error = try #require(throws: ConfigError.self) { try config(vms) }
    #expect("\(error)".contains("2 senders may connect") && "\(error)".contains("peer: a"), "\(error)")
    #expect(try config("vms: [{vm: \(Self.other), retention: {last: 1}}]\n").vms[0].peer == nil)
  }

  @Test("what retention asks for and cannot have is told, with the VM")
  func notes() throws {
    let none = try config("retention: {floor: 3d}\n")
    #expect(none.notes(pointLimit: 512).isEmpty)
    let long = try config(
      "vms: [{vm: db, peer: a, retention: {floor: 7d}}]\nretention: {last: 500, hourly: 24}\n")
    let notes = long.notes(pointLimit: 512)
    #expect(notes.count == 2)
    #expect(notes[0].contains("up to 535 recovery points, and a VM has at most 512"), "\(notes)")
    #expect(notes[1].contains("retention of db") && notes[1].contains("reach back 85h"), "\(notes)")
    #expect(notes[1].contains("floor of 7d"), "\(notes)")
  }
}
