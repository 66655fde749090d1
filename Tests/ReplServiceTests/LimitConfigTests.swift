import Testing

@testable import ReplService

/// `limits:` of the receiver.
@Suite struct LimitConfigTests {
  private func limits(_ text: String) throws -> ReceiverConfig.Limits {
    try ReceiverConfig.parse(
      """
      stores: [{name: main, path: /srv/dr}]
      peers: [{name: a, fingerprint: sha256:\(String(repeating: "ab", count: 32))}]
      \(text)
      """, path: "x"
    ).limits
  }

  @Test("what is given of the limits holds, and the rest are the defaults")
  func given() throws {
    #expect(try limits("") == ReceiverConfig.Limits())
    var expected = ReceiverConfig.Limits()
    (expected.connectionsPerPeer, expected.passes, expected.passesPerPeer, expected.vmsPerPeer) = (
      5, 40, 20, 7
    )
    let found = try limits(
      "limits: {connections_per_peer: 5, passes: 40, passes_per_peer: 20, vms_per_peer: 7}")
    #expect(found == expected)
  }

  @Test("where only the total is given, one sender may have all of it at most")
  func total() throws {
    #expect(try limits("limits: {passes: 3}").passesPerPeer == 3)
    #expect(try limits("limits: {passes: 100}").passesPerPeer == ReceiverConfig.Limits().passesPerPeer)
  }
}
