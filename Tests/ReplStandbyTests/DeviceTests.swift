import ReplIO
import ReplModel
import ReplTestKit
import Synchronization
import Testing

@testable import ReplStandby

/// Disks on block devices instead of files.
@Suite("Disks on block devices") struct DeviceTests {
  private static let slot = DiskSlot("scsi0:0")!

  static let scenario: PowerCuts = {
    do {
      return try PowerCuts(
        GrowthSweepTests.senders,
        interrupted: [
          [CrashSweepTests.variant], [CrashSweepTests.variant, GrowthSweepTests.senders[2]], [],
        ],
        on: .devices)
    } catch { fatalError("\(error)") }
  }()

  @Test(
    "power is cut at any operation of passes to devices: one committed point, nothing behind it",
    arguments: [Survivors.none, .random(seed: 21)])
  func singleCut(survivors: Survivors) throws {
    #expect(Self.scenario.cuts.count > 250)
    try Self.scenario.cutOnce(survivors, every: 3)
  }

  @Test("power is cut again during the recovery of disks on devices")
  func cutDuringRecovery() throws {
    #expect(try Self.scenario.cutDuringRecovery(seed: 4) > 50)
  }

  /// A machine with unclaimed devices.
  private func machine(filled value: UInt8, bytes: Int = Places.deviceBytes) throws -> SimulatedMachine {
    let machine = SimulatedMachine(disks: ["store", "state", "devices"])
    _ = try StandbyStore.initialize(root: machine.disk("store"), time: ManualTime())
    for index in 0..<2 { try SimulatedDevices.add(index, to: machine, filled: value, bytes: bytes) }
    try Places.devices.store(on: machine).rememberKey(Bench.key)
    return machine
  }

  private func refusal(
    _ machine: SimulatedMachine, _ sender: Sender = CrashSweepTests.senders[0]
  ) throws -> String {
    let standby = try Bench.standby(in: Places.devices.store(on: machine))
    let error = try #require(throws: StandbyError.self) { _ = try standby.beginPass(sender.offer(7)) }
    guard case .deviceRefused = error else { throw error }
    #expect(error.remedy == .stopVM)
    return "\(error)"
  }

  @Test("an empty device is taken as it is; its disk is whole, and no file is made for it")
  func empty() throws {
    let machine = try machine(filled: 0)
    let store = try Places.devices.store(on: machine)
    let standby = try Bench.standby(in: store)
    try CrashSweepTests.senders[0].replicate(1, to: standby)
    try Checks(CrashSweepTests.senders).holdsItsNewestPoint(standby, on: machine, "on devices")
    #expect(standby.catalog.disks.map(\.device) == [Places.path(0), Places.path(1)])
    #expect(try !standby.home.directory.entryNames().contains { $0.hasSuffix("-flat.vmdk") })
    try standby.checkStartable()
  }

  @Test("a device that holds something is refused with what it looks like, until it is claimed")
  func foreign() throws {
    let machine = try machine(filled: 0)
    let file = try machine.disk("devices").openFile("web01-0", .readWrite)
    try Array("XFSB".utf8).withUnsafeBytes { try file.write($0, at: 0) }
    try file.sync()
    let text = try refusal(machine)
    #expect(text.contains("XFS filesystem") && text.contains("storage claim /dev/web01-0"), "\(text)")
    #expect(try Bench.bytes(of: file).prefix(4) == Array("XFSB".utf8)[...], "it was written")
    try Places.devices(of: machine).claim(
      Places.path(0), vm: "web 01", slot: Self.slot, at: ManualTime().wallTime())
    let standby = try Bench.standby(in: Places.devices.store(on: machine))
    try CrashSweepTests.senders[0].replicate(1, to: standby)
    try Checks(CrashSweepTests.senders).holdsItsNewestPoint(standby, on: machine, "claimed")
  }

  @Test("a device that is too small is refused at the offer with both sizes, and nothing is written")
  func small() throws {
    let machine = try machine(filled: 0, bytes: 1 << 20)
    let before = machine.operationCount
    let text = try refusal(machine)
    #expect(text.contains("1048576") && text.contains("1050112"), "\(text)")
    let bytes = try Bench.bytes(of: machine.disk("devices").openFile("web01-0", .read))
    #expect(bytes.allSatisfy { $0 == 0 } && machine.operationCount > before)
  }

  @Test("a disk that outgrows its device is refused at the offer; the standby stays at its point")
  func outgrown() throws {
    let machine = try machine(filled: 0, bytes: (1 << 20) + 4096)
    let standby = try Bench.standby(in: Places.devices.store(on: machine))
    try CrashSweepTests.senders[0].replicate(1, to: standby)
    let error = try #require(throws: StandbyError.self) {
      _ = try standby.beginPass(GrowthSweepTests.senders[1].offer(2))
    }
    guard case .deviceRefused = error else { throw error }
    #expect("\(error)".contains("enlarge the device"))
    try Checks(CrashSweepTests.senders).holdsItsNewestPoint(standby, on: machine, "outgrown")
    try CrashSweepTests.senders[1].replicate(2, to: standby)
    try Checks(CrashSweepTests.senders).holdsItsNewestPoint(standby, on: machine, "in its old size")
  }

  @Test("a device that holds another disk is not taken, nor claimed")
  func taken() throws {
    let machine = try machine(filled: 0)
    let standby = try Bench.standby(in: Places.devices.store(on: machine))
    try CrashSweepTests.senders[0].replicate(1, to: standby)
    let error = try #require(throws: StandbyError.self) {
      try Places.devices(of: machine).claim(
        Places.path(0), vm: "db 01", slot: Self.slot, at: ManualTime().wallTime())
    }
    #expect("\(error)".contains("it holds disk scsi0:0 of web 01 already"), "\(error)")
  }

  @Test("a point before a disk grew and back: a device holds each point whole, also behind the smaller end")
  func grownAndBack() throws {
    let machine = try Places.devices.machine()
    let store = try StandbyStore(
      root: machine.disk("store"), state: machine.disk("state"), receiver: Bench.receiver,
      time: ManualTime(), files: PlainFiles(), freeSpaceFloorBytes: 0,
      options: StoreOptions(devices: Places.devices(of: machine)),
      retention: { _ in PointBench.everything })
    let standby = try Bench.standby(in: store)
    let senders = GrowthSweepTests.senders
    for (index, sender) in senders.enumerated() { try sender.replicate(index + 1, to: standby) }
    try standby.fence(reason: "test")
    for number in [1, 2, 1, 3, 2, 3] {
      try standby.goTo(PointBench.reference(number))
      for (index, image) in senders[number - 1].image.disks.enumerated() {
        let held = try Bench.bytes(of: machine.disk("devices").openFile("web01-\(index)", .read))
        #expect(isSame(Array(held.prefix(image.count)), image), "disk \(index) at point \(number)")
      }
    }
  }

  @Test("a disk that is in a file is not moved to a device that the configuration names later")
  func moved() throws {
    let machine = try machine(filled: 0)
    let inFiles = try Bench.standby(in: Bench.store(on: machine))
    try CrashSweepTests.senders[0].replicate(1, to: inFiles)
    _ = consume inFiles
    #expect(try refusal(machine, CrashSweepTests.senders[1]).contains("disk remove"))
  }

  /// A standby whose second disk has left the VM, and is in no point.
  private func detached(on machine: SimulatedMachine) throws -> Standby {
    let standby = try Bench.standby(in: Places.devices.store(on: machine))
    try CrashSweepTests.senders[0].replicate(1, to: standby)
    try standby.update { catalog in
      catalog.disks[1].state = .detached
      catalog.kept = []
    }
    return standby
  }

  @Test("a removed disk leaves its device as it is, and free for others after a claim")
  func removed() throws {
    let machine = try machine(filled: 0)
    let standby = try detached(on: machine)
    let before = try Bench.bytes(of: machine.disk("devices").openFile("web01-1", .read))
    try standby.removeDisk(Bench.diskIDs[1])
    #expect(try Bench.bytes(of: machine.disk("devices").openFile("web01-1", .read)) == before)
    #expect(try Places.devices(of: machine).claims.all().map(\.device) == [Places.path(0)])
  }

  @Test("another VM's device is not opened for one that is known by its path: it may be dead and hang")
  func othersAreNotOpened() throws {
    let machine = try machine(filled: 0)
    let (state, inner) = (machine.disk("state"), SimulatedDevices(machine: machine))
    let devices = try (0..<2).map { try inner.open(Places.path($0), isWritable: false) }
    for (index, device) in devices.enumerated() {
      let claim = DeviceClaims.Claim(
        device: device.path, vm: "web 01", slot: try #require(DiskSlot("scsi0:\(index)")), disk: nil,
        owner: nil, punches: false, at: ManualTime().wallTime())
      try DeviceClaims(state: state, opener: inner).enter(claim, on: device)
    }
    let opener = CountingDevices(inner: inner)
    let claims = DeviceClaims(state: state, opener: opener)
    let claim = try #require(try claims.claim(of: devices[1]))
    try claims.enter(claim, on: devices[1])
    #expect(opener.paths.withLock { $0 } == [])
    #expect(try claims.all().map(\.device) == devices.map(\.path))
  }

  @Test(
    "a removal that is cut off before its device is free can be done again: the catalog's entry goes last")
  func entryGoesLast() throws {
    let machine = try machine(filled: 0)
    let standby = try detached(on: machine)
    let moments = Mutex<[Moment]>([])
    machine.watch { moment in moments.withLock { $0.append(moment) } }
    try standby.removeDisk(Bench.diskIDs[1])
    machine.watch(nil)
    let free = try #require(moments.withLock { $0 }.last { $0.path.contains("devices.json") })
    let left = try Bench.standby(in: Places.devices.store(on: free.kill()))
    #expect(left.catalog.disk(Bench.diskIDs[1]) != nil)
    try left.removeDisk(Bench.diskIDs[1])
    #expect(left.catalog.disk(Bench.diskIDs[1]) == nil)
  }
}

/// Notes which devices are opened.
private final class CountingDevices: DeviceOpening {
  let inner: SimulatedDevices
  let paths = Mutex<[String]>([])

  init(inner: SimulatedDevices) { self.inner = inner }

  func open(_ path: String, isWritable: Bool) throws(IOError) -> BlockDevice {
    paths.withLock { $0.append(path) }
    return try inner.open(path, isWritable: isWritable)
  }
}
