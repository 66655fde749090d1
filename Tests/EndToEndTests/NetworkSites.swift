import Foundation
import Glibc
import Synchronization
import Testing

/// Two network namespaces with a link between them, the primary's and the DR site's, in which packets can be
/// dropped without anybody being told.
final class NetworkSites {
  /// Which packets are lost, as the DR site sees them.
  enum Loss: String, Sendable {
    case both, toReceiver, toSender
  }

  private static let prefix = "vmrepl-\(getpid())-"
  private static let next = Mutex(0)

  let primary: String
  let site: String
  let receiverAddress: String
  private(set) var senderAddress: String
  private let subnet: String
  private let link: String

  /// `megabits`: the link's rate on the way to the receiver.
  init(megabits: Int) throws {
    let number = Self.next.withLock { next in
      defer { next += 1 }
      return next
    }
    (primary, site) = ("\(Self.prefix)\(number)-primary", "\(Self.prefix)\(number)-dr")
    subnet = "10.213.\(number)"
    link = "vr\(number)p"
    (receiverAddress, senderAddress) = ("\(subnet).1", "\(subnet).2")
    for name in [primary, site] { try Tool.must(["ip", "netns", "add", name]) }
    try Tool.must(
      ["ip", "link", "add", link, "netns", primary, "type", "veth", "peer", "name", "vr", "netns", site])
    for (space, device, address) in [(primary, link, senderAddress), (site, "vr", receiverAddress)] {
      try Tool.must(["ip", "-n", space, "address", "add", "\(address)/24", "dev", device])
      for name in [device, "lo"] { try Tool.must(["ip", "-n", space, "link", "set", name, "up"]) }
    }
    try Tool.must(
      [
        "tc", "-n", primary, "qdisc", "add", "dev", link, "root", "tbf", "rate", "\(megabits)mbit", "burst",
        "64kb", "latency", "200ms",
      ])
  }

  deinit {
    // Best effort: the link goes with the namespaces, and those with the machine at the latest.
    for name in [primary, site] { _ = try? Tool.run(["ip", "netns", "delete", name]) }
  }

  /// Starts a program at one of the sites.
  func start(in space: String, _ arguments: [String]) throws -> Running {
    try Running(["ip", "netns", "exec", space] + arguments)
  }

  /// From now on these packets are lost.
  func lose(_ loss: Loss) throws {
    var rules = ["add table inet vmrepl"]
    for (hook, isLost) in [("input", loss != .toSender), ("output", loss != .toReceiver)] where isLost {
      rules.append("add chain inet vmrepl \(hook) { type filter hook \(hook) priority 0; policy drop; }")
    }
    try Tool.must(["ip", "netns", "exec", site, "nft", rules.joined(separator: "; ")])
  }

  func heal() throws { try Tool.must(["ip", "netns", "exec", site, "nft", "flush ruleset"]) }

  /// The sender's machine has lost its power and comes back with another address: nobody answers at the old
  /// one any more. `die` is called between.
  func replaceSender(_ die: () throws -> Void) throws {
    let old = senderAddress
    let rules = [
      "add table inet vmrepl", "add chain inet vmrepl in { type filter hook input priority 0; }",
      "add chain inet vmrepl out { type filter hook output priority 0; }",
      "add rule inet vmrepl in ip saddr \(old) drop", "add rule inet vmrepl out ip daddr \(old) drop",
    ]
    try Tool.must(["ip", "netns", "exec", site, "nft", rules.joined(separator: "; ")])
    try die()
    senderAddress = "\(subnet).3"
    try Tool.must(["ip", "-n", primary, "address", "delete", "\(old)/24", "dev", link])
    try Tool.must(["ip", "-n", primary, "address", "add", "\(senderAddress)/24", "dev", link])
  }

  /// Bytes that left the primary.
  var bytesSent: Int {
    get throws {
      let path = "/sys/class/net/\(link)/statistics/tx_bytes"
      let text = try Tool.must(["ip", "netns", "exec", primary, "cat", path])
      return Int(text.trimmingCharacters(in: .whitespacesAndNewlines)) ?? 0
    }
  }

  /// Why this machine has no namespaces for tests; nil where it has.
  static let obstacle: String? = {
    guard geteuid() == 0 else { return "needs root, to make network namespaces" }
    let name = prefix + "probe"
    defer { _ = try? Tool.run(["ip", "netns", "delete", name]) }
    guard let made = try? Tool.run(["ip", "netns", "add", name]), made.status == 0,
      let table = try? Tool.run(["ip", "netns", "exec", name, "nft", "add table inet probe"]),
      table.status == 0
    else { return "needs network namespaces with nftables" }
    return nil
  }()
}
