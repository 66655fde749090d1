import ReplIO
import ReplModel
import ReplTestKit
import Testing

@Suite("The simulated machine") struct SimulatedMachineTests {
  private let machine = SimulatedMachine(disks: ["a", "b"])

  private func write(_ bytes: [UInt8], to file: any StorageFile, at offset: Int64) throws {
    try bytes.withUnsafeBytes { try file.write($0, at: offset) }
  }

  private func content(_ machine: SimulatedMachine, _ name: String) throws -> [UInt8]? {
    let disk = machine.disk("a")
    guard try disk.contains(name) else { return nil }
    return try Bench.bytes(of: disk.openFile(name, .read))
  }

  @Test("a file's own sync does not make its name durable, and a directory's sync not the content")
  func namesAndContent() throws {
    let disk = machine.disk("a")
    let file = try disk.openFile("f", .createNew)
    try write([1, 2, 3], to: file, at: 0)
    try file.sync()
    #expect(try content(machine.restart(.none), "f") == nil)
    try disk.sync()
    try write([9], to: file, at: 1)
    #expect(try content(machine.restart(.none), "f") == [1, 2, 3])
    #expect(try content(machine.restart(.all), "f") == [1, 9, 3])
  }

  @Test("a rename is durable only after the directory's sync, and is never half done")
  func renames() throws {
    let disk = machine.disk("a")
    try disk.replaceFile("f", with: [1])
    let file = try disk.openFile("f.new", .createNew)
    try write([2], to: file, at: 0)
    try file.sync()
    try disk.rename("f.new", to: "f")
    #expect(try content(machine.restart(.none), "f") == [1])
    for seed in 0..<20 as Range<UInt64> {
      let after = machine.restart(.random(seed: seed))
      let found = try content(after, "f")
      #expect(found == [1] || found == [2], "seed \(seed)")
    }
    try disk.sync()
    #expect(try content(machine.restart(.none), "f") == [2])
  }

  @Test("unsynced writes are lost, kept or torn at 512 bytes, and the same seed does the same")
  func tornWrites() throws {
    let disk = machine.disk("a")
    let file = try disk.openFile("f", .createNew)
    try write([UInt8](repeating: 1, count: 4096), to: file, at: 0)
    try file.sync()
    try disk.sync()
    try write([UInt8](repeating: 2, count: 4096), to: file, at: 0)
    var torn = 0
    for seed in 0..<40 as Range<UInt64> {
      let found = try #require(try content(machine.restart(.random(seed: seed)), "f"))
      #expect(try content(machine.restart(.random(seed: seed)), "f") == found)
      let sectors = (0..<8).map { Set(found[($0 * 512)..<(($0 + 1) * 512)]) }
      #expect(sectors.allSatisfy { $0.count == 1 }, "seed \(seed)")
      if Set(sectors).count > 1 { torn += 1 }
    }
    #expect(torn > 5 && torn < 35)
  }

  @Test("a failed sync forgets the changes: readers still see them, a later sync does not bring them back")
  func failedSync() throws {
    let disk = machine.disk("a")
    let file = try disk.openFile("f", .createNew)
    try file.sync()
    try disk.sync()
    try write([7], to: file, at: 0)
    machine.plan(FaultPlan(.ioErrorOnce, atOperation: machine.operationCount + 1))
    #expect(throws: IOError.self) { try file.sync() }
    try file.sync()
    #expect(try content(machine, "f") == [7])
    #expect(try content(machine.restart(.none), "f") == [])
    // Written again, it is made durable.
    try write([7], to: file, at: 0)
    try file.sync()
    #expect(try content(machine.restart(.none), "f") == [7])
  }

  @Test("after a power cut nothing answers, and both disks share one count")
  func powerCut() throws {
    let (left, right) = (machine.disk("a"), machine.disk("b"))
    _ = try left.openFile("1", .createNew)
    machine.plan(FaultPlan(.powerCut, atOperation: 3))
    _ = try right.openFile("2", .createNew)
    #expect(throws: IOError.self) { try right.sync() }
    #expect(throws: IOError.self) { _ = try left.entryNames() }
    #expect(machine.operationCount == 3)
    #expect(try machine.restart(.all).disk("b").entryNames() == ["2"])
  }

  @Test("large sparse files cost nothing, and holes are found")
  func sparse() throws {
    let file = try machine.disk("a").openFile("f", .createNew)
    try file.truncate(to: 1 << 40)
    try write([5], to: file, at: 1 << 30)
    #expect(try file.allocatedRange(atOrAfter: 0) == ByteRange(offset: 1 << 30, length: 4096))
    #expect(try file.allocatedRange(atOrAfter: (1 << 30) + 4096) == nil)
    try file.writeZeros(ByteRange(offset: 0, length: 1 << 40))
    #expect(try file.allocatedRange(atOrAfter: 0) == nil)
    #expect(file.sizeBytes == 1 << 40)
  }

  @Test("space is limited per disk and comes back")
  func space() throws {
    let disk = machine.disk("a")
    let file = try disk.openFile("f", .createNew)
    machine.limitSpace(of: "a", toBytes: 8192)
    try write([UInt8](repeating: 1, count: 8192), to: file, at: 0)
    #expect(try disk.freeBytes() == 0)
    let error = #expect(throws: IOError.self) { try write([1], to: file, at: 8192) }
    #expect(error?.isOutOfSpace == true)
    try disk.removeFile("f")
    #expect(try disk.freeBytes() == 8192)
  }

  @Test("a lock keeps others out until it is let go, and ends with the power")
  func locks() throws {
    let disk = machine.disk("a")
    var lock = try disk.tryLock("lock")
    #expect(lock != nil)
    #expect(try disk.tryLock("lock") == nil)
    let after = machine.restart(.all).disk("a")
    #expect(try after.tryLock("lock") != nil)
    lock = nil
    #expect(try disk.tryLock("lock") != nil)
  }
}
