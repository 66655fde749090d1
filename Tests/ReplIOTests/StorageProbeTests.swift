import Foundation
import ReplModel
import Testing

@testable import ReplIO

/// What a storage does is found by trying, and what was seen decides.
@Suite("Probing storage") struct StorageProbeTests {
  private let path: String
  private let directory: PosixDirectory

  init() throws {
    path = NSTemporaryDirectory() + "vmrepl-probe-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    directory = try PosixDirectory(path: path)
  }

  @Test("the storage of this machine is usable, and a probe leaves nothing behind, not even of a killed one")
  func probe() throws {
    defer { try? FileManager.default.removeItem(atPath: path) }
    // Process numbers end below this one; 1 is always there.
    let (dead, alive) = (".repl-probe-4999999", ".repl-probe-1")
    for name in [dead, alive] {
      let folder = try #require(try directory.createDirectory(name) as? PosixDirectory)
      _ = try folder.openFile("data", .createNew)
    }
    let traits = try StorageProbe.run(in: directory)
    #expect(traits.obstacles.isEmpty, "\(traits)")
    #expect(traits.largestFileBytes >= 1 << 32 && traits.freeBytes > 0)
    #expect(traits.syncMedianSeconds > 0 && traits.syncSlowestSeconds >= traits.syncMedianSeconds)
    #expect(try directory.entryNames() == [alive])
  }

  @Test("probes of one storage at once do not take away what the others work with")
  func together() async throws {
    defer { try? FileManager.default.removeItem(atPath: path) }
    // Of a killed process that had our number.
    let old = try #require(
      try directory.createDirectory(".repl-probe-\(getpid())-1") as? PosixDirectory)
    _ = try old.openFile("data", .createNew)
    try await withThrowingTaskGroup(of: StorageTraits.self) { group in
      for index in 0..<3 {
        group.addTask { [directory] in
          try await NamedThread.run("probe-\(index)") { try StorageProbe.run(in: directory) }
        }
      }
      for try await traits in group { #expect(traits.obstacles.isEmpty, "\(traits)") }
    }
    #expect(try directory.entryNames() == [])
  }

  @Test("a folder that was seen not to punch rightly gets zeros, also for files of folders beneath it")
  func zeros() throws {
    defer { try? FileManager.default.removeItem(atPath: path) }
    let traits = try StorageProbe.run(in: directory)
    for punches in [true, false] {
      let root = try PosixDirectory(path: path, punchesHoles: punches)
      let folder = try root.createDirectory("folder")
      let file = try #require(try folder.openFile("file-\(punches)", .createNew) as? PosixFile)
      let bytes = AlignedBuffer(byteCount: 1 << 20)
      bytes.bytes.initializeMemory(as: UInt8.self, repeating: 7)
      try file.write(bytes.readable, at: 0)
      try file.sync()
      try file.writeZeros(ByteRange(offset: 0, length: 1 << 20))
      try file.sync()
      try file.read(into: bytes.bytes, at: 0)
      #expect(bytes.readable.allSatisfy { $0 == 0 })
      if traits.holes == .freed {
        #expect(try (file.status().allocatedBytes < 1 << 19) == punches)
      }
    }
  }
}

/// A device in memory that says it punches, and does what it is told to do then.
private final class MemoryDevice: StorageFile {
  private let bytes: Locked
  let punches: Bool
  let path = "/dev/memory"

  final class Locked: @unchecked Sendable {
    // SAFETY: each test uses its device from one thread.
    var bytes: [UInt8]
    var punched = 0
    var forgotten: [ByteRange] = []
    init(_ count: Int) { bytes = Array(repeating: 0xA5, count: count) }
  }

  init(_ count: Int, punches: Bool) {
    bytes = Locked(count)
    self.punches = punches
  }

  var content: [UInt8] { bytes.bytes }
  var punchedCount: Int { bytes.punched }
  var forgotten: [ByteRange] { bytes.forgotten }
  var sizeBytes: Int64 { Int64(bytes.bytes.count) }
  func currentSizeBytes() throws(IOError) -> Int64 { sizeBytes }
  func truncate(to sizeBytes: Int64) throws(IOError) { throw IOError(.limit, "truncate", path: path) }
  func sync() throws(IOError) {}
  func forgetCached(_ range: ByteRange) throws(IOError) { bytes.forgotten.append(range) }
  func allocatedRange(atOrAfter offset: Int64) throws(IOError) -> ByteRange? {
    offset < sizeBytes ? ByteRange(offset: offset, length: sizeBytes - offset) : nil
  }

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int64) throws(IOError) {
    for index in buffer.indices { buffer[index] = bytes.bytes[Int(offset) + index] }
  }

  func write(_ buffer: UnsafeRawBufferPointer, at offset: Int64) throws(IOError) {
    for index in buffer.indices { bytes.bytes[Int(offset) + index] = buffer[index] }
  }

  func writeZeros(_ range: ByteRange) throws(IOError) {
    bytes.punched += 1
    if punches { for index in range.offset..<range.end { bytes.bytes[Int(index)] = 0 } }
  }
}

/// A disk at the beginning of a device.
@Suite("Disks at the beginning of a device") struct DeviceDiskTests {
  private static let deviceBytes = 1 << 20

  private func make(punches: Bool, sector: Int = 4096) -> (MemoryDevice, BlockDevice) {
    let file = MemoryDevice(Self.deviceBytes, punches: punches)
    return (file, BlockDevice(file: file, sizeBytes: file.sizeBytes, sectorBytes: sector, number: 1))
  }

  @Test("a device that says it punches and does not is found out when it is tried, and gets zeros")
  func proof() throws {
    let range = ByteRange(offset: 64 << 10, length: 128 << 10)
    for punches in [true, false] {
      let (file, device) = make(punches: punches)
      #expect(try device.provePunching(in: range) == punches)
      let found = file.content
      #expect(found[Int(range.offset)..<Int(range.end)].allSatisfy { $0 == 0 })
      #expect(
        found[..<Int(range.offset)].allSatisfy { $0 == 0xA5 }
          && found[Int(range.end)...].allSatisfy { $0 == 0xA5 })
    }
  }

  @Test("one that stops punching later is found out by reading back, and gets zeros", arguments: [512, 4096])
  func stops(sector: Int) throws {
    let (file, device) = make(punches: false, sector: sector)
    let disk = DeviceDisk(device, sizeBytes: 512 << 10, punches: true)
    // Neither end on a sector of 4096 bytes.
    let range = ByteRange(offset: 1536, length: 200 << 10)
    try disk.writeZeros(range)
    #expect(file.punchedCount == 1)
    #expect(file.content[1536..<Int(range.end)].allSatisfy { $0 == 0 })
    #expect(
      file.content[..<1536].allSatisfy { $0 == 0xA5 }
        && file.content[Int(range.end)...].allSatisfy { $0 == 0xA5 })
    try disk.writeZeros(ByteRange(offset: 300 << 10, length: 100 << 10))
    #expect(file.punchedCount == 1, "never again")
  }

  @Test("a disk never reaches behind its end, and what it grows into is zero")
  func window() throws {
    let (file, device) = make(punches: true)
    let disk = DeviceDisk(device, sizeBytes: 256 << 10, punches: true)
    let page = AlignedBuffer(byteCount: 4096)
    #expect(throws: IOError.self) { try disk.write(page.readable, at: (256 << 10) - 512) }
    #expect(throws: IOError.self) { try disk.read(into: page.bytes, at: 256 << 10) }
    #expect(try disk.currentSizeBytes() == 256 << 10)
    #expect(try disk.allocatedRange(atOrAfter: 0) == ByteRange(offset: 0, length: 256 << 10))
    try disk.truncate(to: 384 << 10)
    #expect(try disk.currentSizeBytes() == 384 << 10)
    #expect(file.content[(256 << 10)..<(384 << 10)].allSatisfy { $0 == 0 })
    #expect(file.content[(384 << 10)...].allSatisfy { $0 == 0xA5 })
    let error = try #require(throws: IOError.self) { try disk.truncate(to: 2 << 20) }
    #expect("\(error)".contains("the device has 1048576 bytes"))
  }

  @Test("what a disk is asked to forget is forgotten by its device, and nothing behind the disk")
  func forgetting() throws {
    let (file, device) = make(punches: true)
    let disk = DeviceDisk(device, sizeBytes: 256 << 10, punches: true)
    try disk.forgetCached(ByteRange(offset: 192 << 10, length: 1 << 30))
    try disk.forgetCached(ByteRange(offset: 256 << 10, length: 4096))
    #expect(file.forgotten == [ByteRange(offset: 192 << 10, length: 64 << 10)])
  }
}
