import ReplIO
import ReplModel
import ReplTestKit
import Testing

@testable import ReplStandby

/// Where the bench's disks lie: in files, or on simulated block devices that are larger than they need be.
enum Places: Sendable {
  case files
  case devices

  /// What lies behind the disks, and on the devices before their first use.
  private static let foreign: UInt8 = 0xEE
  static let deviceBytes = 3 << 20

  static func path(_ index: Int) -> String { "/dev/web01-\(index)" }

  static func plan(_ devices: [DiskSlot: String]) -> [StandbyDevices.Plan] {
    [StandbyDevices.Plan(vm: "web 01", devices: devices)]
  }

  func machine() throws -> SimulatedMachine {
    guard case .devices = self else { return try Bench.machine() }
    let machine = SimulatedMachine(disks: ["store", "state", "devices"])
    _ = try StandbyStore.initialize(root: machine.disk("store"), time: ManualTime())
    for index in 0..<2 { try SimulatedDevices.add(index, to: machine, filled: Self.foreign) }
    let devices = Self.devices(of: machine)
    for index in 0..<2 {
      try devices.claim(
        Self.path(index), vm: "web 01", slot: DiskSlot("scsi0:\(index)")!, at: ManualTime().wallTime())
    }
    try store(on: machine).rememberKey(Bench.key)
    return machine
  }

  func store(on machine: SimulatedMachine) throws -> StandbyStore {
    guard case .devices = self else { return try Bench.store(on: machine) }
    return try Bench.store(on: machine, options: StoreOptions(devices: Self.devices(of: machine)))
  }

  static func devices(of machine: SimulatedMachine) -> StandbyDevices {
    let slots = [DiskSlot("scsi0:0")!: path(0), DiskSlot("scsi0:1")!: path(1)]
    return StandbyDevices(
      plans: plan(slots), opener: SimulatedDevices(machine: machine), state: machine.disk("state"))
  }

  /// Nothing was written behind the largest size that a disk has anywhere in the scenarios.
  func check(_ machine: SimulatedMachine, _ context: String) throws {
    guard case .devices = self else { return }
    for index in 0..<2 {
      let bytes = try Bench.bytes(of: machine.disk("devices").openFile("web01-\(index)", .read))
      #expect(bytes.count == Self.deviceBytes, "\(context): device \(index) has another size")
      let behind = bytes.suffix(64 << 10)
      #expect(behind.allSatisfy { $0 == Self.foreign }, "\(context): behind disk \(index)")
    }
  }
}

/// Block devices of a simulated machine: files of a fixed size on a disk of their own.
struct SimulatedDevices: DeviceOpening {
  let machine: SimulatedMachine

  static func add(
    _ index: Int, to machine: SimulatedMachine, filled value: UInt8, bytes count: Int = Places.deviceBytes
  )
    throws
  {
    let file = try machine.disk("devices").openFile("web01-\(index)", .createNew)
    try [UInt8](repeating: value, count: count).withUnsafeBytes { try file.write($0, at: 0) }
    try file.sync()
    try machine.disk("devices").sync()
  }

  func open(_ path: String, isWritable: Bool) throws(IOError) -> BlockDevice {
    let name = String(path.dropFirst("/dev/".count))
    let file = try machine.disk("devices").openFile(name, isWritable ? .readWrite : .read)
    return BlockDevice(
      file: file, sizeBytes: try file.currentSizeBytes(), sectorBytes: 512,
      number: UInt64(name.utf8.reduce(0) { $0 &* 31 &+ Int($1) }))
  }
}
