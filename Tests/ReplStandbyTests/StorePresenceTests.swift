import ReplIO
import ReplModel
import ReplTestKit
import Synchronization
import Testing

@testable import ReplStandby

/// A store's path that leads elsewhere than before.
@Suite("Stores that go away") struct StorePresenceTests {
  @Test(
    "nothing is made in an empty folder or on another store in a store's place; it goes on when it is back")
  func presence() throws {
    let machine = SimulatedMachine(disks: ["store", "state", "empty", "other"])
    for name in ["store", "other"] {
      _ = try StandbyStore.initialize(root: machine.disk(name), time: ManualTime())
    }
    let mounted = Mutex("store")
    let options = StoreOptions(reopen: { machine.disk(mounted.withLock { $0 }) })
    let store = try Bench.store(on: machine, options: options)
    try store.rememberKey(Bench.key)
    try CrashSweepTests.senders[0].replicate(1, to: Bench.standby(in: store))
    for (name, isMissing) in [("empty", true), ("other", false)] {
      mounted.withLock { $0 = name }
      for body in [
        { _ = try store.open(vm: Bench.vm) },
        { _ = try store.create(vm: VMID(high: 9, low: 9), displayName: "new", owner: Bench.peer) },
      ] as [() throws -> Void] {
        let error = try #require(throws: StandbyError.self) { try body() }
        switch error {
        case .storeMissing: #expect(isMissing)
        case .otherStore(_, _, let expected, let found):
          #expect(!isMissing && expected == store.id && found != store.id)
        default: throw error
        }
      }
      let names = try machine.disk(name).entryNames()
      #expect(names.allSatisfy { $0.hasPrefix(".repl-store") }, "\(names)")
    }
    mounted.withLock { $0 = "store" }
    let standby = try #require(try store.open(vm: Bench.vm))
    try CrashSweepTests.senders[1].replicate(2, to: standby)
  }

  @Test("another identity under a store's name is refused with both, until the name is forgotten")
  func known() throws {
    let machine = SimulatedMachine(disks: ["state"])
    let state = machine.disk("state")
    let (first, second) = (StoreID(high: 1, low: 1), StoreID(high: 2, low: 2))
    try KnownStores.update("main", to: .init(store: first, path: "/srv/dr", traits: nil), in: state)
    let known = try KnownStores.load(from: machine.restart(.none).disk("state"))
    try known.check("main", path: "/srv/dr", holds: first)
    try known.check("new", path: "/srv/new", holds: second)
    let error = try #require(throws: StandbyError.self) {
      try known.check("main", path: "/srv/dr", holds: second)
    }
    let text = "\(error)"
    #expect(
      text.contains("\(first)") && text.contains("\(second)") && text.contains("storage forget main"),
      "\(text)")
    #expect(try KnownStores.update("main", to: nil, in: state)?.store == first)
    try KnownStores.load(from: state).check("main", path: "/srv/dr", holds: second)
  }

  @Test("a damaged or newer list of stores or devices is not taken for an empty one")
  func damaged() throws {
    for (text, isNewer) in [("{", false), ("{\"format\":2}", true), ("{\"format\":1,\"content\":7}", false)] {
      let machine = SimulatedMachine(disks: ["state"])
      for name in ["stores.json", "devices.json"] {
        try machine.disk("state").replaceFile(name, with: Array(text.utf8))
      }
      let claims = DeviceClaims(state: machine.disk("state"), opener: SimulatedDevices(machine: machine))
      for body in [{ _ = try KnownStores.load(from: machine.disk("state")) }, { _ = try claims.all() }]
        as [() throws -> Void]
      {
        let error = try #require(throws: StandbyError.self) { try body() }
        switch error {
        case .newerFormat: #expect(isNewer)
        case .catalogDamaged: #expect(!isNewer)
        default: throw error
        }
      }
    }
  }
}
