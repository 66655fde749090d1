import ReplIO
import ReplModel
import ReplTestKit
import Synchronization
import Testing

@testable import ReplStandby

/// By which name the configuration means a VM, whatever its sender calls it.
@Suite("The name that settings go by") struct ConfiguredNameTests {
  private func renamed(_ offer: PassOffer) -> PassOffer {
    PassOffer(
      vm: offer.vm, displayName: "scratch", owner: offer.owner, pass: offer.pass, frozenAt: offer.frozenAt,
      label: offer.label, epoch: offer.epoch, disks: offer.disks, vmxHash: offer.vmxHash,
      nvramHash: offer.nvramHash)
  }

  @Test("a VM that its sender renames keeps its retention and its devices")
  func renamedVM() throws {
    let machine = try Bench.machine()
    let asked = Mutex<[String]>([])
    let store = try StandbyStore(
      root: machine.disk("store"), state: machine.disk("state"), receiver: Bench.receiver,
      time: ManualTime(), files: PlainFiles(), freeSpaceFloorBytes: 0,
      retention: { standby in
        asked.withLock { $0.append("\(standby.configuredName) of \(standby.owner)") }
        return .standard
      })
    let standby = try Bench.standby(in: store)
    let sender = try Sender(Image.tenPages())
    let pass = try standby.beginPass(renamed(sender.offer(1)))
    _ = try pass.commit(sender.claims(try sender.send(to: pass)))
    try pass.settle()
    _ = try standby.applyRetention()
    #expect(standby.catalog.displayName == "scratch" && standby.catalog.configuredName == "web 01")
    #expect(Set(asked.withLock { $0 }) == ["web 01 of \(Bench.peer)"])
    let slot = try #require(DiskSlot("scsi0:0"))
    func path(_ plans: [StandbyDevices.Plan]) -> String? {
      StandbyDevices(
        plans: plans, opener: SimulatedDevices(machine: machine), state: machine.disk("state")
      ).path(for: standby.catalog, slot: slot)
    }
    let scratch = StandbyDevices.Plan(vm: "scratch", devices: [slot: "/dev/scratch"])
    let named = StandbyDevices.Plan(vm: "web 01", peer: Bench.peer, devices: [slot: "/dev/web"])
    let foreign = StandbyDevices.Plan(vm: "web 01", peer: "another", devices: [slot: "/dev/another"])
    let known = StandbyDevices.Plan(vm: "\(Bench.vm)".uppercased(), devices: [slot: "/dev/known"])
    #expect(path([scratch]) == nil && path([foreign]) == nil)
    #expect(path([scratch, foreign, named]) == "/dev/web")
    #expect(path([named, known]) == "/dev/known", "a UUID goes before a name")
  }

  @Test(
    "a catalog without the first name gets it with its next change, before a new display name can be taken")
  func earlierCatalog() throws {
    let machine = try Bench.machine()
    let standby = try Bench.standby(in: Bench.store(on: machine))
    let text = String(decoding: try RecordJSON.encode(standby.catalog), as: UTF8.self)
    var earlier = text
    earlier.removeSubrange(try #require(text.firstRange(of: "\"firstName\":\"web 01\",")))
    standby.catalog = try #require(RecordJSON.decode(Array(earlier.utf8)) as Catalog?)
    try standby.update { $0.displayName = "scratch" }
    #expect(standby.catalog.configuredName == "web 01")
    let loaded = try #require(try Catalog.load(from: standby.home.privateDirectory))
    #expect(loaded.configuredName == "web 01" && loaded.displayName == "scratch")
  }
}
