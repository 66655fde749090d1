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
  private func id(
    _ result: Result<ConnectionTable.Admission, ConnectionTable.Refusal>
  ) -> ConnectionTable.ID? {
    (try? result.get())?.id
  }

  private func displaced(
    _ result: Result<ConnectionTable.Admission, ConnectionTable.Refusal>
  ) -> ConnectionTable.ID? {
    (try? result.get())?.displaced
  }

  private func enter(_ id: ConnectionTable.ID, _ table: inout ConnectionTable) {
    let isIn = table.authenticated(id)
    #expect(isIn)
  }

  @Test("an address gets no more than its share, and gets it back")
  func share() throws {
    var table = ConnectionTable(caps: .init(total: 10, perAddress: 2, reservedForKnownAddresses: 0))
    let first = try #require(id(table.admit([1])))
    let second = try #require(id(table.admit([1])))
    enter(first, &table)
    enter(second, &table)
    #expect(table.admit([1]) == .failure(.perAddress))
    #expect(id(table.admit([2])) != nil)
    table.release(first)
    table.release(first)
    #expect(id(table.admit([1])) != nil)
    #expect(table.count == 3)
  }

  @Test("strangers give way: of the same address, then the oldest of the address that has most of them")
  func displacing() throws {
    var table = ConnectionTable(caps: .init(total: 5, perAddress: 3, reservedForKnownAddresses: 0))
    let crowd = try (0..<3).map { _ in try #require(id(table.admit([1]))) }
    #expect(displaced(table.admit([1])) == crowd[0])
    #expect(table.isLeaving(crowd[0]))
    let isTooLate = !table.authenticated(crowd[0])
    #expect(isTooLate)
    let lonely = try #require(id(table.admit([2])))
    #expect(displaced(table.admit([3])) == nil)
    enter(crowd[1], &table)
    // [1] has two strangers, [2] and [3] one each.
    #expect(displaced(table.admit([4])) == crowd[2])
    #expect(!table.isLeaving(lonely))
    #expect(table.countByAddress == [[1]: 2, [2]: 1, [3]: 1, [4]: 1])
    // Nobody who has authenticated gives way, and those who leave are few.
    table = ConnectionTable(caps: .init(total: 1, perAddress: 3, reservedForKnownAddresses: 0))
    for number in 0...TransportLimits.leavingConnections {
      #expect(id(table.admit([UInt8(number)])) == UInt64(number))
    }
    #expect(table.admit([99]) == .failure(.total))
    table.release(0)
    let last = try #require(id(table.admit([99])))
    table.release(1)
    enter(last, &table)
    #expect(table.admit([98]) == .failure(.total))
  }

  @Test("the last places are for addresses that have authenticated before")
  func reserved() throws {
    var table = ConnectionTable(caps: .init(total: 4, perAddress: 9, reservedForKnownAddresses: 2))
    let friend = try #require(id(table.admit([9])))
    enter(friend, &table)
    for _ in 0..<2 {
      let busy = try #require(id(table.admit([1])))
      enter(busy, &table)
      table.release(friend)
    }
    #expect(table.admit([3]) == .failure(.total))
    for _ in 0..<2 {
      let again = try #require(id(table.admit([9])))
      enter(again, &table)
    }
    #expect(table.admit([9]) == .failure(.total))
  }

  @Test("however few places there are, an address that nobody knows yet has one")
  func fewPlaces() {
    for total in 1...64 {
      var table = ConnectionTable(caps: .init(total: total))
      #expect(id(table.admit([1])) != nil, "\(total)")
    }
    #expect(Listener.Caps(total: 64).reservedForKnownAddresses == 8)
  }

  @Test("what is remembered is bounded")
  func bounded() throws {
    var table = ConnectionTable(caps: .init(total: 4, perAddress: 9, reservedForKnownAddresses: 4))
    // Nobody is known: all places are reserved.
    #expect(table.admit([1]) == .failure(.total))
    table = ConnectionTable(caps: .init(total: 4, perAddress: 9, reservedForKnownAddresses: 3))
    for number in 0..<200 {
      let entered = try #require(id(table.admit([UInt8(number)])))
      enter(entered, &table)
      table.release(entered)
    }
    #expect(table.countByAddress.isEmpty)
    for _ in 0..<2 {
      let again = try #require(id(table.admit([199])))
      enter(again, &table)
    }
    #expect(table.admit([0]) == .failure(.total), "the oldest are forgotten")
  }
}
