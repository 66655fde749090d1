import ReplDigest
import ReplIO
import ReplModel
import ReplTestKit
import Testing

@testable import ReplStandby

@Suite("Passes") struct PassTests {
  private let first: Sender
  private let second: Sender
  private let machine: SimulatedMachine
  private let store: StandbyStore

  init() throws {
    first = try Sender(Bench.firstImage())
    second = try Sender(Bench.secondImage())
    machine = try Bench.machine()
    store = try Bench.store(on: machine)
  }

  private func pages(_ sent: Sender.Sent) -> Int64 { (sent.data + sent.zero).reduce(0, +) }

  @Test("a first copy and two passes each leave the standby exactly as the source was")
  func threePasses() throws {
    let senders = [first, second, try Sender(Bench.thirdImage())]
    let standby = try Bench.standby(in: store)
    for (index, sender) in senders.enumerated() {
      try sender.replicate(index + 1, to: standby)
      try Checks(senders).holdsItsNewestPoint(standby, on: machine, "pass \(index + 1)")
      #expect(standby.catalog.newest?.reference.number == UInt64(index + 1))
    }
    #expect(try standby.journalNames().isEmpty)
  }

  @Test("a pass in which nothing changed sends nothing and makes a point")
  func nothingChanged() throws {
    let standby = try Bench.standby(in: store)
    try first.replicate(1, to: standby)
    let sent = try first.replicate(2, to: standby)
    #expect(pages(sent) == 0)
    #expect(standby.catalog.newest?.reference.number == 2)
    #expect(standby.catalog.points.count == 2)
    try Checks([first, first]).holdsItsNewestPoint(standby, on: machine, "second pass")
  }

  @Test("before the commit the disks are untouched, after it the marker says so until they are settled")
  func untouchedBeforeCommit() throws {
    let standby = try Bench.standby(in: store)
    try first.replicate(1, to: standby)
    let home = try machine.disk("store").openDirectory(standby.directoryName)
    let pass = try standby.beginPass(second.offer(2))
    let sent = try second.send(to: pass)
    let point = try pass.commit(second.claims(sent))
    #expect(try isSame(Bench.bytes(of: home.openFile("scsi0-0-flat.vmdk", .read)), first.image.disks[0]))
    #expect(point.reference.number == 2)
    #expect(standby.catalog.newest?.reference.number == 1)
    let (sawMarker, name) = (SawFile(), standby.directoryName)
    machine.watch { moment in
      guard moment.kind == .write, moment.path.hasSuffix("-flat.vmdk") else { return }
      let durable = moment.restart(.none).disk("store")
      sawMarker.note((try? durable.openDirectory(name).contains("SETTLING.txt")) == true)
    }
    try pass.settle()
    machine.watch(nil)
    #expect(sawMarker.count > 0 && sawMarker.allThere)
    #expect(try !home.contains("SETTLING.txt"))
  }

  @Test(
    "an interrupted pass is a head start, and pages that went back to their old content are sent too"
  )
  func headStart() throws {
    try first.replicate(1, to: try Bench.standby(in: store))
    let interrupted = try Bench.standby(in: store).beginPass(second.offer(2))
    try second.send(to: interrupted)
    try interrupted.suspend()

    // The view of pass 3: half of what changed is still so, page 1 and 50 went back.
    var image = Bench.secondImage()
    let old = Bench.firstImage()
    for page in [1, 50] {
      image.disks[0].replaceSubrange(
        (page * 4096)..<((page + 1) * 4096), with: old.disks[0][(page * 4096)..<((page + 1) * 4096)])
    }
    let third = try Sender(image)
    let after = machine.restart(.none)
    let standby = try Bench.standby(in: Bench.store(on: after))
    #expect(try standby.recovery.get() == .headStart)
    let sent = try third.replicate(3, to: standby)
    #expect(sent.data == [1, 0] && sent.zero == [1, 0], "page 1 as data, page 50 as zero, and nothing else")
    try Checks([first, second, third]).holdsItsNewestPoint(standby, on: after, "after the head start")
  }

  @Test(
    "an interrupted first copy goes on after a suspend and after a power cut without what was acknowledged")
  func firstCopyGoesOn() throws {
    let pass = try Bench.standby(in: store).beginPass(first.offer(1))
    #expect(pass.isSeeding(disk: 0) && pass.base == nil && pass.filesWanted == [.vmx, .nvram])
    let sent = try first.send(to: pass, limit: 2)
    try pass.sync()
    try pass.suspend()
    for (name, after) in [("suspend", machine.kill()), ("power cut", machine.restart(.none))] {
      let again = try Bench.standby(in: Bench.store(on: after)).beginPass(first.offer(2))
      #expect(again.filesWanted.isEmpty, "\(name)")
      let rest = try first.send(to: again)
      #expect(pages(sent) + pages(rest) == 12 + 8, "\(name)")
      _ = try again.commit(first.claims(rest))
      try again.settle()
      try Checks([first, first]).holdsItsNewestPoint(again.standby, on: after, name)
    }
  }

  @Test("what a crash left of a first copy is found by reading the disk, never taken for zeros")
  func staleSeedData() throws {
    let pass = try Bench.standby(in: store).beginPass(first.offer(1))
    try first.send(to: pass, limit: 3)
    // Not suspended: the map is gone, unacknowledged pages are on the disk. The next view has zeros there.
    var image = Bench.firstImage()
    for page in [0, 1, 2, 7, 8] { image.clear(0, page) }
    let other = try Sender(image)
    let after = machine.restart(.all)
    let standby = try Bench.standby(in: Bench.store(on: after))
    let sent = try other.replicate(2, to: standby)
    #expect(sent.zero[0] == 5)
    try Checks([first, other]).holdsItsNewestPoint(standby, on: after, "after the crash")
  }

  @Test("a disk that is added is seeded inside the pass, a removed one is kept and marked detached")
  func disksComeAndGo() throws {
    let standby = try Bench.standby(in: store)
    for (number, disks) in [(1, [0]), (2, [0, 1]), (3, [0]), (4, [0, 1])] {
      let sender = number < 3 ? first : second
      let pass = try standby.beginPass(sender.offer(number, disks: disks))
      #expect(disks.map { pass.isSeeding(disk: $0) } == disks.map { $0 == 1 || number == 1 })
      for file in pass.filesWanted {
        try pass.append(file, file == .vmx ? sender.image.vmx : sender.image.nvram)
      }
      var claims: [CommitClaims.Disk] = []
      for disk in disks {
        var (data, zero): (Int64, Int64) = (0, 0)
        for runs in try sender.batches(for: disk, pass.digestView(disk: disk), pagesPerBatch: 100) {
          try sender.withBatch(disk, runs, codec: .zstd) { try pass.append($0) }
          (data, zero) = (data + runs.dataPageCount, zero + runs.zeroPageCount)
        }
        claims.append(.init(root: sender.roots[disk], dataPages: data, zeroPages: zero))
      }
      _ = try pass.commit(CommitClaims(disks: claims))
      try pass.settle()
      let states = standby.catalog.disks.map(\.state)
      #expect(
        states == (number == 1 ? [.ready] : [.ready, number == 3 ? .detached : .ready]), "pass \(number)")
    }
    try Checks([first, first, second, second]).holdsItsNewestPoint(standby, on: machine, "at the end")
  }

  @Test("the receiver's own numbers name points, and a pass is known by its identity")
  func references() throws {
    let standby = try Bench.standby(in: store)
    try first.replicate(1, to: standby)
    try second.replicate(2, to: standby)
    let newest = try #require(standby.catalog.newest)
    #expect(newest.reference == PointReference(epoch: Epoch(1), number: 2))
    #expect(newest.pass == Bench.pass(2) && newest.receiver == Bench.receiver)
    #expect(standby.catalog.points.map(\.reference.number) == [1, 2])
    #expect(standby.directoryName.hasPrefix("web-01-") && standby.directoryName.utf8.count == 15)
  }
}

/// Notes from a watcher whether something was there every time.
final class SawFile: @unchecked Sendable {
  // SAFETY: one thread runs the test and the watcher.
  private(set) var count = 0
  private(set) var allThere = true

  func note(_ isThere: Bool) {
    count += 1
    allThere = allThere && isThere
  }
}
