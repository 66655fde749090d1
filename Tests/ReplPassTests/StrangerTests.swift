import Foundation
import ReplIO
import ReplModel
import ReplProtocol
import ReplTLS
import ReplTestKit
import ReplTransport
import Testing

@testable import ReplPass

/// What is done before a peer is known and what it offers is checked (FAULTS.md 56, 59).
@Suite(.serialized) struct StrangerTests {
  private func stranger(of pair: Pair) throws -> TLSContext {
    let folder = NSTemporaryDirectory() + "vmrepl-stranger-\(UUID().uuidString)"
    // Best effort: a leftover in the temporary folder harms nobody.
    defer { try? FileManager.default.removeItem(atPath: folder) }
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    let identity = try TLSIdentity.create(in: folder + "/x", name: "primary")
    let target = try #require(pair.tls.policy.pinned.first)
    return try TLSContext(role: .client, identity: identity, policy: PeerPolicy(pinned: [target]))
  }

  @Test(
    "no disk is opened before the peer is authorised: a stranger's offer reaches no standby, and is reported")
  func stranger() throws {
    let pair = try Pair()
    defer { pair.end() }
    let version = [[UInt8](repeating: 7, count: 64 << 10), [UInt8](repeating: 8, count: 64 << 10)]
    _ = try pair.pass(version)
    let before = pair.receiver.operationCount
    let settings = SourceSettings(
      receiver: HostPort(host: "127.0.0.1", port: pair.port), tls: try stranger(of: pair),
      productVersion: "0.1.0", retryLimit: 1)
    let machine = SimulatedMachine(disks: ["state"])
    let pass = SourcePass(
      view: pair.view(version.map { MemoryDisk($0) }), settings: settings,
      state: try SourceState(root: machine.disk("state")), lastEpoch: pair.epoch, stop: StopSignal(),
      time: SystemTime(), progress: { _ in })
    let error = #expect(throws: PassError.self) { try pass.run() }
    guard case .transport(let failure) = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect(failure.code == .tls && failure.remedy != .retryPass, "\(failure)")
    #expect(pair.receiver.operationCount == before)
    // The listener's thread reports it, a moment after the stranger has learned it.
    let deadline = Deadline(seconds: 10)
    while !pair.failures.contains(where: { $0.contains("sha256:") }), !deadline.hasPassed {
      _ = Monitor(false).wait(seconds: 0.01) { $0 ? true : nil }
    }
    #expect(pair.failures.contains { $0.contains("sha256:") }, "\(pair.failures)")
    _ = try pair.pass(version)
  }

  @Test(
    "an offer with a name of 4096 bytes, a thousand disks or a megabyte of facts is refused; nothing is made")
  func hugeOffer() throws {
    let bench = try WireBench()
    defer { bench.end() }
    let many = (0..<1000).map { ["disk": "\(DiskID(high: 9, low: UInt64($0)))"] }
    let fact = String(repeating: "f", count: 1000)
    let changes: [(String, @Sendable (inout [String: Any]) -> Void)] = [
      ("a name of 4096 bytes", { $0["displayName"] = String(repeating: "n", count: 4096) }),
      ("an empty name", { $0["displayName"] = "" }),
      (
        "1000 disks",
        { offer in
          guard let disk = (offer["disks"] as? [[String: Any]])?.first else { return }
          offer["disks"] = many.map { disk.merging($0) { $1 } }
        }
      ),
      (
        "a fact of 1000 bytes",
        { offer in
          guard var disks = offer["disks"] as? [[String: Any]] else { return }
          disks[0]["facts"] = ["entries": [["key": fact, "value": fact]]]
          offer["disks"] = disks
        }
      ),
      (
        "a disk of 2^62 bytes",
        { offer in
          guard var disks = offer["disks"] as? [[String: Any]] else { return }
          disks[0]["grid"] = ["pageSizeBytes": 4096, "sizeBytes": 1 << 62]
          offer["disks"] = disks
        }
      ),
    ]
    for (what, change) in changes {
      let folders = try bench.pair.store().standbys().map(\.directory)
      let outcome = try bench.strike(
        what,
        WireDamageTests.first(.offer) { .send([(.offer, WireDamageTests.json($0, change))]) })
      #expect(WireDamageTests.number(outcome) != nil, "\(what): \(outcome)")
      #expect(try bench.pair.store().standbys().map(\.directory) == folders)
    }
  }
}
