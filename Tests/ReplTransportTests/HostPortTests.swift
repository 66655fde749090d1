import Testing

@testable import ReplTransport

@Suite("host and port")
struct HostPortTests {
  @Test(
    "names, IPv4 and bracketed IPv6 addresses are read and written the same",
    arguments: [
      ("dr.example:7443", "dr.example", 7443), ("192.0.2.1:1", "192.0.2.1", 1),
      ("[2001:db8::1]:65535", "2001:db8::1", 65_535),
      ("[fe80::1%eth0]:22", "fe80::1%eth0", 22), ("[::]:0", "::", 0), ("my_host-1:80", "my_host-1", 80),
    ])
  func good(_ text: String, _ host: String, _ port: Int) {
    let parsed = HostPort(text)
    #expect(parsed == HostPort(host: host, port: UInt16(port)))
    #expect(parsed?.description == text)
  }

  @Test(
    "everything else is refused",
    arguments: [
      "", ":", "host", "host:", ":80", "host:65536", "host:-1", "host:+1", "host:8 0", "2001:db8::1:80",
      "[::1]", "[::1]80",
      "[]:80", "[host]:80", "ho st:80", "host/x:80", "host:80:81", "h\u{0}st:80", "hóst:80", "host:000080",
      "[::1:80",
      String(repeating: "x", count: 254) + ":80",
    ])
  func bad(_ text: String) { #expect(HostPort(text) == nil) }
}

@Suite("connection table")
struct ConnectionTableTests {
  private func id(_ result: Result<ConnectionTable.ID, ConnectionTable.Refusal>) -> ConnectionTable.ID? {
    try? result.get()
  }

  @Test("an address gets no more than its share, and gets it back")
  func perAddress() {
    var table = ConnectionTable(caps: .init(total: 10, perAddress: 2, reservedForKnownAddresses: 0))
    let first = id(table.admit([1]))
    #expect(first != nil)
    #expect(id(table.admit([1])) != nil)
    #expect(table.admit([1]) == .failure(.perAddress))
    #expect(id(table.admit([2])) != nil)
    table.release(first!)
    table.release(first!)
    #expect(id(table.admit([1])) != nil)
    #expect(table.admit([1]) == .failure(.perAddress))
    #expect(table.count == 3)
  }

  @Test("the last places are for addresses that have authenticated before")
  func reserved() {
    var table = ConnectionTable(caps: .init(total: 4, perAddress: 9, reservedForKnownAddresses: 2))
    let friend = id(table.admit([9]))!
    table.authenticated(friend)
    table.release(friend)
    #expect(id(table.admit([1])) != nil)
    #expect(id(table.admit([2])) != nil)
    #expect(table.admit([3]) == .failure(.total))
    #expect(id(table.admit([9])) != nil)
    #expect(id(table.admit([9])) != nil)
    #expect(table.admit([9]) == .failure(.total))
  }

  @Test("what is remembered is bounded")
  func bounded() {
    var table = ConnectionTable(caps: .init(total: 4, perAddress: 9, reservedForKnownAddresses: 4))
    // Nobody is known: all places are reserved.
    #expect(table.admit([1]) == .failure(.total))
    table = ConnectionTable(caps: .init(total: 4, perAddress: 9, reservedForKnownAddresses: 3))
    for number in 0..<200 {
      let entered = id(table.admit([UInt8(number)]))!
      table.authenticated(entered)
      table.release(entered)
    }
    #expect(table.countByAddress.isEmpty)
    #expect(id(table.admit([199])) != nil)
    #expect(id(table.admit([199])) != nil)
    #expect(table.admit([0]) == .failure(.total), "the oldest are forgotten")
  }
}
