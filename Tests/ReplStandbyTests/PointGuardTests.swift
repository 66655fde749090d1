import ReplDigest
import ReplIO
import ReplModel
import ReplTestKit
import Synchronization
import Testing

@testable import ReplStandby

/// Points that nobody may end, and what retention does around points that are damaged.
@Suite("Points that stay") struct PointGuardTests {
  private static func images(_ count: Int) -> [Image] {
    var images = [Image.tenPages()]
    for number in 1..<count {
      images.append(
        images[number - 1].changing([number % 10, (number + 3) % 10], seed: UInt64(number * 100)))
    }
    return images
  }

  /// A pass with the first disk alone: the second one has left the VM.
  private func replicateFirstDisk(_ number: Int, _ sender: Sender, to standby: Standby) throws {
    let pass = try standby.beginPass(sender.offer(number, disks: [0]))
    for file in pass.filesWanted {
      try pass.append(file, file == .vmx ? sender.image.vmx : sender.image.nvram)
    }
    var sent = Sender.Sent()
    for runs in try sender.batches(for: 0, pass.digestView(disk: 0), pagesPerBatch: 100) {
      try sender.withBatch(0, runs, codec: .raw) { try pass.append($0) }
      sent.data[0] += runs.dataPageCount
      sent.zero[0] += runs.zeroPageCount
    }
    _ = try pass.commit(CommitClaims(disks: [sender.claims(sent).disks[0]]))
    try pass.settle()
  }

  private func error(_ body: () throws -> Void) -> String {
    do { try body() } catch { return "\(error)" }
    return ""
  }

  @Test(
    "a disk that comes back ends no point that is pinned, being read or younger than the floor, and says which",
    arguments: ["pinned", "read", "young", "free"])
  func returningDisk(_ why: String) throws {
    let policy = RetentionPolicy(
      last: 10, hourly: 0, daily: 0, weekly: 0, floorSeconds: why == "young" ? 7200 : 600)
    let bench = try PointBench(Self.images(4), policy: policy)
    try bench.replicate(1)
    let store = try bench.store()
    let standby = try Bench.standby(in: store)
    try replicateFirstDisk(2, bench.senders[1], to: standby)
    let summary = try #require(try store.standbys().first)
    if why == "pinned" { try store.pin(PointBench.reference(1), reason: "", of: summary) }
    let reader: PointExtraction? =
      why == "read" ? try PointExtraction(PointBench.reference(1), of: summary, in: store) { _ in } : nil
    let offer = bench.senders[2].offer(3)
    guard why != "free" else {
      #expect(try standby.mayBegin(offer.disks[1]))
      _ = try standby.beginSeed(bench.senders[2].offer(3, disks: [1]))
      #expect(standby.catalog.points.map(\.reference) == [PointBench.reference(2)])
      let told = standby.takeDropped()
      #expect(told.map(\.point) == [PointBench.reference(1)] && told.map(\.reason) == [.returned])
      #expect(standby.takeDropped().isEmpty)
      return
    }
    #expect(try !standby.mayBegin(offer.disks[1]) && standby.mayBegin(offer.disks[0]))
    let before = standby.catalog
    for text in [
      error { _ = try standby.beginPass(offer) },
      error { _ = try standby.beginSeed(bench.senders[2].offer(3, disks: [1])) },
    ] {
      #expect(text.contains("recovery points 1.1 need"), "\(text)")
      #expect(text.contains("points drop \(Bench.vm) 1.1"), "\(text)")
    }
    #expect(standby.catalog == before && standby.takeDropped().isEmpty)
    withExtendedLifetime(reader) {}
    // The VM goes on without the disk meanwhile.
    try replicateFirstDisk(3, bench.senders[2], to: standby)
    #expect(standby.catalog.points.count == 3)
  }

  @Test("a pass that cannot fit is refused with every point kept; what went for one that failed is told")
  func refusedWithoutLoss() throws {
    let bench = try PointBench(Self.images(5))
    try bench.replicate(4)
    let standby = try Bench.standby(in: bench.store())
    let pass = try standby.beginPass(bench.senders[4].offer(5))
    let sent = try bench.senders[4].send(to: pass)
    let limit: Int64 = 1 << 40
    bench.machine.limitSpace(of: "store", toBytes: limit)
    let used = limit - (try bench.machine.disk("store").freeBytes())
    // One byte is free, and all undo files together give less than another VM's commit was promised.
    bench.machine.limitSpace(of: "store", toBytes: used + 1)
    let other = try #require(try standby.store.ledger.reserve(1 << 30) { () in 1 << 40 })
    let refusal = try #require(throws: StandbyError.self) {
      _ = try pass.commit(bench.senders[4].claims(sent))
    }
    #expect(refusal.isOutOfSpace)
    #expect(standby.catalog.points.count == 4 && standby.takeDropped().isEmpty)
    withExtendedLifetime(other) {}
    _ = consume other
    try pass.suspend()
    bench.machine.limitSpace(of: "store", toBytes: nil)
    try bench.senders[4].replicate(5, to: standby)
    #expect(standby.catalog.points.count == 5)
  }
}
