import Foundation
import ReplModel
import ReplProtocol
import ReplTestKit
import Synchronization
import Testing

@testable import ReplPass

/// A receiver that was taken over, or is plainly wrong (FAULTS.md 100): what it asks for and what it claims.
@Suite(.serialized) struct HostileReceiverTests {
  private typealias Answer = FrameRelay.Answer

  /// The answer to the offer, changed; `$1` is the offer.
  private static func accept(
    _ change: @escaping @Sendable (inout [String: Any], _ offer: [String: Any]) -> Void
  ) -> FrameRelay.Tamper {
    let offer = Mutex<[UInt8]>([])
    return { passing in
      if passing.type == .offer { offer.withLock { $0 = passing.payload } }
      guard passing.type == .accept else { return .pass }
      let bytes = offer.withLock { $0 }
      let offered = (try? JSONSerialization.jsonObject(with: Data(bytes))) as? [String: Any] ?? [:]
      return .send([(.accept, WireDamageTests.json(passing.payload) { change(&$0, offered) })])
    }
  }

  /// Said by the receiver right after its answer to the offer.
  private static func afterAccept(_ type: MessageType, _ text: String) -> FrameRelay.Tamper {
    { passing in
      passing.type == .accept ? .send([(.accept, passing.payload), (type, Array(text.utf8))]) : .pass
    }
  }

  private func expectRefused(_ bench: WireBench, _ what: String, _ tamper: @escaping FrameRelay.Tamper) throws
  {
    let outcome = try bench.strike(what, tamper)
    guard case .failed(.wire(let error)) = outcome else {
      Issue.record("\(what): \(outcome)")
      return
    }
    if case .peer = error { Issue.record("\(what): refused by the receiver, not by the sender: \(error)") }
  }

  @Test(
    "a receiver that asks for pages outside the offered disks, or absurdly many, gets none and is refused")
  func asksForMore() throws {
    let bench = try WireBench()
    defer { bench.end() }
    for (what, text) in [
      ("a disk that was not offered", #"{"disk": 2, "pages": [{"first": 0, "count": 1}]}"#),
      ("disk -1", #"{"disk": -1, "pages": [{"first": 0, "count": 1}]}"#),
      ("a page past the end", #"{"disk": 1, "pages": [{"first": 16, "count": 1}]}"#),
      ("a range past the end", #"{"disk": 1, "pages": [{"first": 15, "count": 2}]}"#),
      ("a page before the start", #"{"disk": 1, "pages": [{"first": -1, "count": 1}]}"#),
      ("a range past 2^63", #"{"disk": 1, "pages": [{"first": 9223372036854775807, "count": 2}]}"#),
      ("no page", #"{"disk": 1, "pages": []}"#),
      ("the same page twice", #"{"disk": 1, "pages": [{"first": 1, "count": 1}, {"first": 1, "count": 1}]}"#),
    ] {
      try expectRefused(bench, what, Self.afterAccept(.resend, text))
    }
    // What only a source may say.
    for type in [MessageType.nodesRequest, .leavesRequest, .offer, .commit, .keyRequest] {
      try expectRefused(bench, "a \(type) from the target", Self.afterAccept(type, "{}"))
    }
  }

  @Test("a receiver that names other disks, files, windows or identities in its answer is refused")
  func wrongAccept() throws {
    let bench = try WireBench()
    defer { bench.end() }
    let changes: [(String, @Sendable (inout [String: Any]) -> Void)] = [
      ("a disk less", { $0["disks"] = ($0["disks"] as? [Any])?.dropLast().map { $0 } }),
      ("a disk twice", { $0["disks"] = ($0["disks"] as? [Any]).map { [$0[0], $0[0]] } }),
      ("disks in another order", { $0["disks"] = ($0["disks"] as? [Any]).map { $0.reversed().map { $0 } } }),
      ("a file that was not offered", { $0["filesWanted"] = ["nvram"] }),
      ("a file by a path", { $0["filesWanted"] = ["/etc/shadow"] }),
      ("a window of nothing", { $0["windowBytes"] = 0 }),
      ("a window of 2^62", { $0["windowBytes"] = 1 << 62 }),
      ("a path as its identity", { $0["receiver"] = "../../../../tmp/x" }),
      ("a negative budget", { $0["journalBudgetBytes"] = -1 }),
    ]
    for (what, change) in changes {
      try expectRefused(bench, what, Self.accept { accept, _ in change(&accept) })
    }
  }

  @Test("a receiver that says a pass is committed that was never sent to it is not believed")
  func claimsCommit() throws {
    let bench = try WireBench()
    defer { bench.end() }
    try expectRefused(
      bench, "a claim",
      Self.accept { accept, offer in
        guard var newest = accept["newest"] as? [String: Any] else { return }
        newest["pass"] = offer["pass"]
        accept["newest"] = newest
      })
  }

  @Test(
    "an answer to a commit that names another VM, pass, time, root or an older point is not taken for a base")
  func wrongCommitted() throws {
    let bench = try WireBench()
    defer { bench.end() }
    let changes: [(String, @Sendable (inout [String: Any]) -> Void)] = [
      ("VM", { $0["vm"] = "\(VMID(high: 1, low: 1))" }),
      ("pass", { $0["pass"] = "\(PassID(high: 1, low: 1))" }),
      ("receiver", { $0["receiver"] = "\(ReceiverID(high: 1, low: 1))" }),
      ("point", { $0["reference"] = ($0["reference"] as? [String: Any])?.merging(["number": 1]) { $1 } }),
      (
        "root",
        {
          guard var disks = $0["disks"] as? [[String: Any]] else { return }
          disks[0]["root"] = disks[1]["root"]
          $0["disks"] = disks
        }
      ),
    ]
    for (what, change) in changes {
      try expectRefused(
        bench, "another \(what)",
        WireDamageTests.first(.committed) { payload in
          .send([
            (
              .committed,
              WireDamageTests.json(payload) { committed in
                guard var point = committed["point"] as? [String: Any] else { return }
                change(&point)
                committed["point"] = point
              }
            )
          ])
        })
    }
  }

  /// A pass whose first connection loses the answer to the commit, and is told something else by the second.
  private func passAfterLostAnswer(
    _ bench: WireBench, _ change: @escaping @Sendable (inout [String: Any]) -> Void
  ) throws -> SourcePass.Report {
    let isLost = Mutex(false)
    let view = bench.pair.view(bench.version.map { MemoryDisk($0) })
    bench.relay.tamper { passing in
      switch passing.type {
      case .committed
      where isLost.withLock { lost in
        defer { lost = true }
        return !lost
      }:
        return .end([], .cut)
      case .accept where isLost.withLock { $0 }:
        return .send([(.accept, WireDamageTests.json(passing.payload, change))])
      default: return .pass
      }
    }
    defer { #expect(isLost.withLock { $0 }) }
    return try bench.pair.pass(view, through: bench.relay.port, retryLimit: 4)
  }

  @Test(
    "a receiver is not believed after a lost answer: roots and freeze time must be those of the pass"
  )
  func wrongAdoption() throws {
    let changes: [(String, @Sendable (inout [String: Any]) -> Void)] = [
      (
        "effectiveRoot",
        { accept in
          guard var disks = accept["disks"] as? [[String: Any]] else { return }
          disks[0]["effectiveRoot"] = disks[1]["effectiveRoot"]
          accept["disks"] = disks
        }
      ),
      // An hour later than it was: the lag would be told too small.
      ("newest.frozenAt", { Self.change(&$0, "frozenAt", "2100-01-01T00:00:00.000Z") }),
      ("newest.disks", { Self.change(&$0, "disks", ["\(DiskID(high: 9, low: 9))"]) }),
    ]
    for (field, change) in changes {
      let bench = try WireBench()
      defer { bench.end() }
      let error = #expect(throws: PassError.self) { try passAfterLostAnswer(bench, change) }
      let text = error.map { "\($0)" } ?? ""
      #expect(text.contains(field), "\(text)")
    }
  }

  private static func change(_ accept: inout [String: Any], _ field: String, _ value: Any) {
    guard var newest = accept["newest"] as? [String: Any] else { return }
    newest[field] = value
    accept["newest"] = newest
  }

  @Test("after a lost answer the point is known to hold the disks that the receiver names, and no others")
  func adoptedDisks() throws {
    let bench = try WireBench()
    defer { bench.end() }
    let report = try passAfterLostAnswer(bench) { accept in
      Self.change(&accept, "disks", ["\(Pair.disks[0])"])
    }
    #expect(report.point.disks.map(\.disk) == [Pair.disks[0]])
  }
}
