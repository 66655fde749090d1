import Foundation
import ReplTestKit
import Testing

/// Cut connections, lost answers, lost maps: whatever happens, only what the receiver does not hold travels
/// again.
extension EndToEnd {
  @Suite(.needs("qemu-img")) struct ReconnectTests {
    private static let megabyte = 256

    /// 16 MiB of incompressible data, so that bytes on the wire say which pages travelled.
    private func makeLab() throws -> (Lab, FaultyProxy, FlatDisk) {
      let lab = try Lab()
      try lab.addDisk(subformat: "monolithicFlat", sizeBytes: 16 << 20)
      try lab.writeVMX()
      let disk = FlatDisk(path: "\(lab.sourceFolder)/web01-flat.vmdk")
      var random = SeededRandom(seed: 7)
      try disk.write(pages: Array(0..<(16 * Self.megabyte))) { _ in Self.noise(&random) }
      let proxy = try FaultyProxy(to: UInt16(lab.port))
      try lab.configure(through: Int(proxy.port))
      try lab.startReceiver()
      return (lab, proxy, disk)
    }

    private static func noise(_ random: inout SeededRandom) -> [UInt8] {
      var page: [UInt8] = []
      page.reserveCapacity(4096)
      while page.count < 4096 { withUnsafeBytes(of: random.next()) { page.append(contentsOf: $0) } }
      return page
    }

    @Test("a first copy that is cut off again and again sends hardly more than its data")
    func firstCopy() throws {
      let (lab, proxy, _) = try makeLab()
      defer { proxy.stop() }
      proxy.plan((1...5).map { .init(direction: .toServer, afterBytes: 2_300_000 + $0 * 4321) })
      try lab.pass()
      try lab.expectIdentical()
      #expect(proxy.connections == 6)
      // What was on its way at each cut may travel again; the whole disk five times may not.
      #expect(proxy.bytesToServer < 28 << 20, "sent \(proxy.bytesToServer)")
    }

    @Test("a pass that is cut at random bytes in either direction commits in the end")
    func randomCuts() throws {
      let (lab, proxy, disk) = try makeLab()
      defer { proxy.stop() }
      try lab.pass()
      let seed = UInt64.random(in: 0...UInt64.max)
      var random = SeededRandom(seed: seed)
      for round in 0..<25 {
        try disk.write(pages: (0..<150).map { _ in Int.random(in: 0..<4096, using: &random) }) { _ in
          Self.noise(&random)
        }
        let isUp = Bool.random(using: &random)
        let most = isUp ? 700_000 : 9_000
        let cuts = (0..<3).map { _ in
          FaultyProxy.Fault(
            direction: isUp ? .toServer : .toClient, afterBytes: Int.random(in: 1...most, using: &random))
        }
        proxy.plan(cuts)
        try lab.pass()
        #expect(try lab.isIdentical(disk: 0), "round \(round), seed \(seed), cuts \(cuts)")
        proxy.plan([])
      }
    }

    @Test("a lost commit answer costs no resend: the sender adopts the receiver's point")
    func lostAnswer() throws {
      let (lab, proxy, disk) = try makeLab()
      defer { proxy.stop() }
      try lab.pass()
      var random = SeededRandom(seed: 8)
      try disk.write(pages: Array(100..<200)) { _ in Self.noise(&random) }
      proxy.resetCounts()
      try lab.pass()
      let whole = proxy.bytesToClient
      var adopted = 0
      var passes = 2
      // The answer to the commit is the last long message to the sender: cuts near the end must hit it.
      for cut in stride(from: whole - 1500, to: whole, by: 50) where adopted < 3 {
        try disk.write(pages: Array(100..<200)) { _ in Self.noise(&random) }
        proxy.resetCounts()
        proxy.plan([.init(direction: .toClient, afterBytes: cut)])
        try lab.pass()
        passes += 1
        #expect(try lab.isIdentical(disk: 0))
        #expect(
          proxy.bytesToServer < 600 << 10, "100 pages, sent \(proxy.bytesToServer) with a cut at \(cut)")
        let log = try #require(lab.receiver?.errors)
        #expect(log.components(separatedBy: "pass-committed").count - 1 == passes, "each pass counts once")
        // The first session ended after its commit, and the second had nothing to commit.
        if let committed = log.range(of: "pass-committed", options: .backwards),
          let ended = log.range(of: "session-ended", options: .backwards),
          ended.lowerBound > committed.lowerBound
        {
          adopted += 1
        }
      }
      #expect(adopted > 0, "no cut hit the answer")
    }

    @Test(
      "after a restart of the sender, acknowledged pages are a head start, also when they changed back"
    )
    func headStart() throws {
      let (lab, proxy, disk) = try makeLab()
      defer { proxy.stop() }
      try lab.pass()
      let original = try disk.copy()
      var random = SeededRandom(seed: 9)
      let changed = Array(0..<2048)
      try disk.write(pages: changed) { _ in Self.noise(&random) }
      // The sender dies when half of 8 MiB is through.
      proxy.plan((0..<40).map { _ in .init(direction: .toServer, afterBytes: 4 << 20) })
      let pass = try lab.startPass()
      try eventually("half of the pass is through") { proxy.bytesToServer >= 4 << 20 }
      try eventually("the cut") { proxy.connections >= 2 || !pass.process.isRunning }
      pass.signal(SIGKILL)
      try pass.finish(seconds: 10)
      proxy.plan([])
      // Pages 0..<512, surely acknowledged or on their way, go back to what they were; the rest stays
      // changed.
      try disk.write(pages: Array(0..<512)) { page in Array(original[(page * 4096)..<((page + 1) * 4096)]) }
      proxy.resetCounts()
      try lab.pass()
      try lab.expectIdentical()
      #expect(proxy.bytesToServer < 7 << 20, "8 MiB less the head start, sent \(proxy.bytesToServer)")
    }

    @Test("a lost or foreign digest map is learned from the receiver: only real differences travel")
    func lostMap() throws {
      let (lab, proxy, disk) = try makeLab()
      defer { proxy.stop() }
      try lab.pass()
      var random = SeededRandom(seed: 10)
      let maps = "\(lab.folder)/sender-state/maps"
      for damage in ["remove", "flip"] {
        try disk.write(pages: Array(300..<310)) { _ in Self.noise(&random) }
        if damage == "remove" {
          try FileManager.default.removeItem(atPath: maps)
        } else {
          let files = try Tool.must(["find", maps, "-name", "*.map"]).split(separator: "\n")
          for file in files {
            let handle = try #require(FileHandle(forUpdatingAtPath: String(file)))
            handle.write(Data(repeating: 0x5A, count: 8192))
            try handle.close()
          }
        }
        proxy.resetCounts()
        try lab.pass()
        try lab.expectIdentical()
        #expect(proxy.bytesToServer < 200_000, "\(damage): ten pages, sent \(proxy.bytesToServer)")
      }
    }

    @Test(
      "a sender that lost its whole state but was paired again under its name goes on without a full copy")
    func lostState() throws {
      let (lab, proxy, disk) = try makeLab()
      defer { proxy.stop() }
      try lab.pass()
      try lab.stopReceiver()
      try FileManager.default.removeItem(atPath: "\(lab.folder)/sender-state")
      let standby = try FileManager.default.contentsOfDirectory(atPath: lab.storeFolder)
      try lab.configure(through: Int(proxy.port))
      try lab.startReceiver()
      var random = SeededRandom(seed: 11)
      try disk.write(pages: [5, 6]) { _ in Self.noise(&random) }
      proxy.resetCounts()
      try lab.pass()
      try lab.expectIdentical()
      #expect(try FileManager.default.contentsOfDirectory(atPath: lab.storeFolder) == standby)
      #expect(proxy.bytesToServer < 100_000, "two pages, sent \(proxy.bytesToServer)")
    }

    @Test(
      "a receiver that is gone and comes back in the middle of a pass costs only what was not acknowledged")
    func receiverRestart() throws {
      let (lab, proxy, disk) = try makeLab()
      defer { proxy.stop() }
      try lab.pass()
      var random = SeededRandom(seed: 12)
      try disk.write(pages: Array(0..<1024)) { _ in Self.noise(&random) }
      proxy.plan([.init(direction: .toServer, afterBytes: 2 << 20)])
      proxy.resetCounts()
      let pass = try lab.startPass()
      try eventually("half of the pass is through") { proxy.bytesToServer >= 2 << 20 }
      try lab.stopReceiver(SIGKILL)
      try lab.startReceiver()
      let result = try pass.finish(seconds: 60)
      #expect(result.status == 0, "\(result.errors)")
      try lab.expectIdentical()
    }
  }
}
