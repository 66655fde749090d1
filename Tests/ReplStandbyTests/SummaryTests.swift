import ReplIO
import ReplModel
import ReplTestKit
import Testing

@testable import ReplStandby

@Suite("Summaries") struct SummaryTests {
  private let first: Sender
  private let second: Sender
  private let machine: SimulatedMachine

  init() throws {
    first = try Sender(Bench.firstImage())
    second = try Sender(Bench.secondImage())
    machine = try Bench.machine()
    try first.replicate(1, to: try Bench.standby(in: Bench.store(on: machine)))
  }

  @Test("a standby whose folder was renamed is found by its catalog, and no second one is made")
  func renamed() throws {
    let root = machine.disk("store")
    let name = try #require(try Bench.store(on: machine).standbys().first).directory
    try root.rename(name, to: "web-production")
    let store = try Bench.store(on: machine)
    #expect(try store.standbys().map(\.directory) == ["web-production"])
    #expect(try store.remarks().contains { $0.contains("web-production") && $0.contains(name) })
    #expect(throws: StandbyError.self) {
      _ = try store.create(vm: Bench.vm, displayName: "web 01", owner: Bench.peer)
    }
    let standby = try #require(try store.open(vm: Bench.vm))
    #expect(standby.directoryName == "web-production")
    try standby.fence(reason: "failover")
    #expect(try store.standbys().first?.catalog?.fence != nil)
  }

  @Test("a point that is committed and not settled is in the summary, and reading it changes nothing")
  func pending() throws {
    var standby: Standby? = try Bench.standby(in: Bench.store(on: machine))
    let pass = try #require(standby).beginPass(second.offer(2))
    let before = try #require(try Bench.store(on: machine).standbys().first)
    #expect(before.pending == nil && !before.isSettling)
    let point = try pass.commit(second.claims(try second.send(to: pass)))
    standby = nil
    let store = try Bench.store(on: machine.restart(.none))
    let summary = try #require(try store.standbys().first)
    #expect(summary.pending == point && summary.newestPoint == point && summary.isSettling)
    #expect(summary.catalog?.newest?.reference.number == 1)
    try store.checkStartable(summary)
    let settled = try #require(try store.open(vm: Bench.vm))
    #expect(try settled.recovery.get() == .settled(point.reference))
    let after = try #require(try store.standbys().first)
    #expect(after.pending == nil && after.newestPoint == point)
  }

  @Test("a disk file that is gone or has another size is named before a failover")
  func startable() throws {
    let store = try Bench.store(on: machine)
    let summary = try #require(try store.standbys().first)
    try store.checkStartable(summary)
    let home = try machine.disk("store").openDirectory(summary.directory)
    try home.openFile("scsi0-1-flat.vmdk", .readWrite).truncate(to: 4096)
    let shorter = #expect(throws: StandbyError.self) { try store.checkStartable(summary) }
    #expect(shorter?.description.contains("scsi0-1-flat.vmdk has 4096 bytes") == true)
    try home.removeFile("scsi0-1-flat.vmdk")
    let gone = #expect(throws: StandbyError.self) { try store.checkStartable(summary) }
    #expect(gone?.description.contains("scsi0-1-flat.vmdk is gone") == true)
  }
}
