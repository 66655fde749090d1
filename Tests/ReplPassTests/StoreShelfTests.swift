import ReplDigest
import ReplIO
import ReplModel
import ReplProtocol
import ReplTestKit
import Synchronization
import Testing

@testable import ReplPass
@testable import ReplStandby

/// Stores that are missing or hang keep nobody from the others.
@Suite(.serialized) struct StoreShelfTests {
  /// Two stores in memory; opening the one that is shut never comes back before the gate is opened.
  private final class Yard: Sendable {
    let machine = SimulatedMachine(disks: ["good", "bad", "state"])
    let gate = GatedDirectory.Gate()
    let openings = Mutex<[String: Int]>([:])
    let changes = Mutex<[String]>([])

    init() throws {
      for name in ["good", "bad"] {
        _ = try StandbyStore.initialize(root: machine.disk(name), time: ManualTime())
      }
    }

    func store(_ name: String) throws(StandbyError) -> StandbyStore {
      try StandbyStore(
        root: GatedDirectory(machine.disk(name), gate: gate), state: machine.disk("state"),
        receiver: ReceiverID(high: 7, low: 7), time: ManualTime(), files: NoFiles(), freeSpaceFloorBytes: 0)
    }

    func shelf() -> StoreShelf {
      let places = ["good", "bad"].map { StoreShelf.Place(name: $0, path: "/\($0)") }
      return StoreShelf(places, patienceSeconds: 0.5) { [self] (place) throws(StandbyError) in
        openings.withLock { $0[place.name, default: 0] += 1 }
        if place.name == "bad" { gate.pass("bad") }
        return try store(place.name)
      }
    }

    func look(_ shelf: StoreShelf, seconds: Double) -> Double {
      let began = SystemTime().monotonicNanoseconds()
      shelf.look(waitSeconds: seconds) { [self] change in
        changes.withLock { $0.append("\(change)") }
      }
      return Double(SystemTime().monotonicNanoseconds() - began) / 1e9
    }
  }

  private func eventually(_ what: String, _ condition: () -> Bool) {
    let deadline = Deadline(seconds: 20)
    while !condition(), !deadline.hasPassed { _ = Monitor(false).wait(seconds: 0.02) { $0 ? true : nil } }
    #expect(condition(), "\(what)")
  }

  @Test(
    "a store whose opening hangs is waited for once, opened by one thread, named, and found when it answers")
  func hangs() throws {
    let yard = try Yard()
    defer { yard.gate.open() }
    yard.gate.shut("bad")
    let shelf = yard.shelf()
    #expect(yard.look(shelf, seconds: 0.1) < 0.4)
    eventually("the good one") { shelf.inventory.stores.map(\.name) == ["good"] }
    #expect(shelf.inventory.missing.map(\.name) == ["bad"])
    #expect(shelf.inventory.troubles.isEmpty, "too early to call it silent")
    #expect(yard.look(shelf, seconds: 60) < 1.5, "its patience, and no more")
    let trouble = try #require(shelf.inventory.troubles.first)
    #expect(trouble.name == "bad" && "\(trouble.error)".contains("/bad"), "\(trouble)")
    #expect("\(trouble.error)".contains("has not answered since"), "\(trouble)")
    for _ in 0..<5 { #expect(yard.look(shelf, seconds: 60) < 1, "not waited for again") }
    #expect(yard.openings.withLock { $0["bad"] } == 1, "one thread opens it")
    #expect(yard.changes.withLock { $0.count { $0.contains("has not answered") } } == 1, "told once")
    yard.gate.open()
    eventually("it is open") { shelf.inventory.stores.count == 2 }
    #expect(shelf.inventory.troubles.isEmpty && shelf.inventory.missing.isEmpty)
  }

  @Test("passes of a VM in one store go on while another store does not open; a VM of that one is told why")
  func sessions() throws {
    let yard = try Yard()
    defer { yard.gate.open() }
    yard.gate.shut("bad")
    let (here, there) = (VMID(high: 1, low: 1), VMID(high: 2, low: 2))
    _ = try yard.store("good").create(vm: here, displayName: "here", owner: "site-a")
    _ = try yard.store("bad").create(vm: there, displayName: "there", owner: "site-a")
    let service = try service(yard.shelf())
    service.lookAtStores(waitSeconds: 1)
    let began = SystemTime().monotonicNanoseconds()
    let taken = try service.take(offer(here), peer: "site-a")
    #expect(taken != nil)
    #expect(Double(SystemTime().monotonicNanoseconds() - began) / 1e9 < 2)
    _ = consume taken
    for _ in 0..<2 {
      #expect { _ = try service.take(offer(there), peer: "site-a") } throws: { error in
        "\(error)".contains("/bad")
      }
    }
    try service.loadBoard()
    service.board.update(there, name: "there", peer: "site-a", rpoSeconds: 900) { _ in }
    try service.loadBoard()
    #expect(service.board[here]?.lastFailure == nil)
    let marked = try #require(service.board[there])
    #expect(marked.state == .failing && marked.lastFailure?.cause.contains("/bad") == true, "\(marked)")
    #expect(service.storeTroubles.count == 1)
    yard.gate.open()
    eventually("it is open") { service.stores.count == 2 }
    try service.loadBoard()
    #expect(service.board[there]?.lastFailure == nil && service.storeTroubles.isEmpty)
    #expect(try service.take(offer(there), peer: "site-a") != nil)
  }

  @Test("an open store that stops to take changes counts as missing until it does again")
  func goesSilent() throws {
    let yard = try Yard()
    defer { yard.gate.open() }
    let shelf = yard.shelf()
    _ = yard.look(shelf, seconds: 5)
    #expect(shelf.inventory.stores.count == 2)
    let vm = VMID(high: 2, low: 2)
    let bad = try #require(shelf.inventory.stores.last?.store)
    _ = try bad.create(vm: vm, displayName: "there", owner: "site-a")
    yard.gate.shut(StandbyLayout.absentFile)
    _ = yard.look(shelf, seconds: 60)
    #expect(shelf.inventory.stores.isEmpty && shelf.inventory.missing.count == 2)
    #expect(shelf.inventory.present.isEmpty)
    yard.gate.open()
    eventually("both answer") { shelf.inventory.present.count == 2 }
  }

  private func offer(_ vm: VMID) -> Offer {
    let disk = Offer.Disk(
      disk: Pair.disks[0], slot: DiskSlot("scsi0:0")!,
      grid: PageGrid(sizeBytes: 64 << 10, pageSizeBytes: 4096)!,
      keyID: KeyID(high: 1, low: 1), facts: DiskFacts(entries: []))
    return Offer(
      purpose: .pass, vm: vm, displayName: "web01", pass: .random(), view: .random(),
      frozenAt: SystemTime().wallTime(), label: .crashConsistent, epoch: nil, disks: [disk],
      vmxHash: SHA256Hasher.hash([1]), nvramHash: nil)
  }

  private func service(_ shelf: StoreShelf) throws -> TargetService {
    let machine = SimulatedMachine(disks: ["state"])
    return TargetService(
      receiver: ReceiverID(high: 7, low: 7),
      settings: TargetSettings(productVersion: "0.1.0", rpoSeconds: 900, storeOfPeer: [:]), stores: shelf,
      keys: TargetKeys(directory: machine.disk("state")), board: try StatusBoard(directory: nil),
      time: SystemTime(), report: { _ in })
  }
}
