import Foundation
import Glibc
import ReplIO
import ReplTestKit
import Synchronization
import Testing

/// The network between two sites is gone without a word, in the middle of a pass (FAULTS.md 41, 42). All
/// cases at once, for each waits for the deadlines of the protocol in real time.
extension RealTime {
  @Suite(
    .needs("ip", "nft", "tc", "qemu-img"),
    .enabled(
      if: Tool.isCI && !Tool.has("nft") || NetworkSites.obstacle == nil, "\(NetworkSites.obstacle ?? "")"))
  struct PartitionTests {
    private static let megabytes = 24
    /// Idle time of the protocol and the kernel's own limit are 30 s.
    private static let noticedWithin: Double = 50

    private final class Site {
      let lab: Lab
      let network: NetworkSites
      let receiver: Running
      var sender: Running

      init() throws {
        network = try NetworkSites(megabits: 64)
        lab = try Lab()
        try lab.addDisk(subformat: "monolithicFlat", sizeBytes: megabytes << 20)
        try lab.writeVMX()
        let disk = FlatDisk(path: "\(lab.sourceFolder)/web01-flat.vmdk")
        let noise = PageMaker.random(byteCount: 1 << 20, seed: 41)
        for number in 0..<megabytes {
          try disk.write(pages: [number * 256]) { _ in noise.map { $0 &+ UInt8(number) } }
        }
        try lab.configure(sender: "interval: 1h")
        for (path, address) in [
          (lab.receiverConfig, network.receiverAddress), (lab.senderConfig, network.receiverAddress),
        ] {
          let text = try String(contentsOfFile: path, encoding: .utf8)
          try text.replacingOccurrences(of: "127.0.0.1:\(lab.port)", with: "\(address):\(lab.port)")
            .write(toFile: path, atomically: true, encoding: .utf8)
        }
        receiver = try network.start(
          in: network.site, [Tool.receiver, "run", "--config", lab.receiverConfig])
        sender = receiver
        try eventually("the receiver listens") { [receiver] in receiver.errors.contains("listening") }
        try startSender()
      }

      func startSender() throws {
        sender = try network.start(in: network.primary, [Tool.sender, "run", "--config", lab.senderConfig])
      }

      deinit { for process in [sender, receiver] { process.signal(SIGKILL) } }

      func waitForHalf() throws {
        try eventually("half of the pass is through: \(sender.errors)") {
          try network.bytesSent > megabytes << 19
        }
      }

      func waitForCommit(seconds: Double, _ what: String) throws {
        try eventually(seconds: seconds, "\(what): the pass commits: \(sender.errors)") {
          sender.errors.contains("pass-committed") && receiver.errors.contains("point-settled")
        }
        try lab.expectIdentical(what)
        // What was not acknowledged: two seconds of the link, and what the kernels held. Not the half again.
        let sent = try network.bytesSent
        #expect(sent < (megabytes << 20) * 2 - (4 << 20), "\(what): sent \(sent)")
      }
    }

    private func partition(_ loss: NetworkSites.Loss) throws {
      let site = try Site()
      try site.waitForHalf()
      try site.network.lose(loss)
      let began = Date()
      try eventually(seconds: Self.noticedWithin, "\(loss): both ends notice") {
        site.receiver.errors.contains("session-ended") && site.sender.errors.contains("pass-interrupted")
      }
      print("partition \(loss): noticed at both ends after \(Date().timeIntervalSince(began)) s")
      #expect(!site.sender.errors.contains("pass-committed"))
      try site.network.heal()
      try site.waitForCommit(seconds: 60, "partition \(loss)")
      // P4: both say what they waited for, or what the other one did.
      for (log, event) in [(site.receiver.errors, "session-ended"), (site.sender.errors, "pass-interrupted")]
      {
        let line = log.split(separator: "\n").first { $0.contains(event) } ?? ""
        let isSaid = ["nothing was received", "did not take data in time", "timedOut"].contains {
          line.contains($0)
        }
        #expect(isSaid, "\(loss): \(line)")
        print("partition \(loss): \(line)")
      }
    }

    /// The sender's machine loses its power; another one takes its place at once.
    private func halfOpen() throws {
      let site = try Site()
      try site.waitForHalf()
      try site.network.replaceSender {
        site.sender.signal(SIGKILL)
        try site.sender.finish(seconds: 10)
      }
      let began = Date()
      try site.startSender()
      try site.waitForCommit(seconds: Self.noticedWithin + 20, "half-open")
      print("half-open: the reborn sender had its point after \(Date().timeIntervalSince(began)) s")
    }

    @Test("a partition both ways or one way, or a sender without power: noticed by both ends, then resumed")
    func partitions() throws {
      let cases: [NetworkSites.Loss?] = [.both, .toReceiver, .toSender, nil]
      let ended = Mutex(0)
      let threads = cases.map { loss in
        NamedThread.start("partition") {
          do {
            if let loss { try partition(loss) } else { try halfOpen() }
            ended.withLock { $0 += 1 }
          } catch { Issue.record("\(loss.map { "\($0)" } ?? "half-open"): \(error)") }
        }
      }
      for thread in threads { thread.join() }
      #expect(ended.withLock { $0 } == cases.count)
    }
  }
}
