import Glibc
import ReplDigest
import ReplIO
import ReplModel
import ReplTestKit
import Synchronization
import Testing

@testable import ReplStandby

/// A medium with bytes that cannot be read.
@Suite("Unreadable media") struct UnreadableTests {
  @Test("what cannot be read makes the answer inconclusive, with offset and errno, and never a difference")
  func inconclusive() throws {
    let machine = try Bench.machine()
    let image = try Sender(Bench.firstImage())
    try image.replicate(1, to: try Bench.standby(in: Bench.store(on: machine)))
    let bad = ByteRange(offset: 101 * 4096 + 512, length: 512)
    let store = try StandbyStore(
      root: BadDirectory(machine.disk("store"), BadRange(bad)), state: machine.disk("state"),
      receiver: Bench.receiver,
      time: ManualTime(), files: PlainFiles(), freeSpaceFloorBytes: 0)
    let outcome = try Damage.verify(in: store)
    #expect(outcome.verdict == .inconclusive && outcome.suspicion == nil)
    let found = try #require(outcome.reports[0].unreadable.first)
    #expect(found.code == EIO && found.bytes.offset <= bad.offset && found.bytes.end >= bad.end)
    #expect(outcome.reports[0].differingCount == 0 && outcome.reports[1].isClean)
    #expect(try Bench.standby(in: store).catalog.kept.last?.verifiedAt == nil)

    // A difference elsewhere is told all the same.
    try Damage.flip(machine, disk: 1, pages: [2])
    let both = try Damage.verify(in: store)
    #expect(both.verdict == .differing && both.reports.map(\.verdict) == [.inconclusive, .differing])
  }

  @Test("a page that is wrong at first and unreadable when it is read again is unknown: never identical")
  func unreadableTheSecondTime() throws {
    let machine = try Bench.machine()
    let image = try Sender(Bench.firstImage())
    try image.replicate(1, to: try Bench.standby(in: Bench.store(on: machine)))
    try Damage.flip(machine, disk: 0, pages: [101])
    let bad = BadRange(ByteRange(offset: 101 * 4096, length: 4096), goodReads: 1)
    let store = try StandbyStore(
      root: BadDirectory(machine.disk("store"), bad), state: machine.disk("state"), receiver: Bench.receiver,
      time: ManualTime(), files: PlainFiles(), freeSpaceFloorBytes: 0)
    let outcome = try Damage.verify(in: store, repairs: true)
    #expect(outcome.verdict == .inconclusive && outcome.reports[0].unreadable.first?.code == EIO)
    #expect(try Bench.standby(in: store).catalog.kept.last?.verifiedAt == nil)
  }
}

/// A range that cannot be read after so many times that it can.
final class BadRange: Sendable {
  let bytes: ByteRange
  private let goodReads: Mutex<Int>

  init(_ bytes: ByteRange, goodReads: Int = 0) {
    self.bytes = bytes
    self.goodReads = Mutex(goodReads)
  }

  func check(_ path: String, _ offset: Int64, _ count: Int) throws(IOError) {
    guard offset < bytes.end, offset + Int64(count) > bytes.offset else { return }
    let isGood = goodReads.withLock { left in
      left -= 1
      return left >= 0
    }
    guard !isGood else { return }
    throw IOError(.system(EIO), "read", path: path, offsetBytes: max(offset, bytes.offset))
  }
}

/// A directory in which files of one name, the first disk's unless said otherwise, have a range that cannot
/// be read.
final class BadDirectory: StorageDirectory {
  private let inner: any StorageDirectory
  private let bad: BadRange
  private let suffix: String

  init(_ inner: any StorageDirectory, _ bad: BadRange, suffix: String = "scsi0-0-flat.vmdk") {
    (self.inner, self.bad, self.suffix) = (inner, bad, suffix)
  }

  var path: String { inner.path }

  func openFile(_ name: String, _ access: FileAccess) throws(IOError) -> any StorageFile {
    let file = try inner.openFile(name, access)
    return name.hasSuffix(suffix) ? BadFile(file, bad) : file
  }

  func openDirectory(_ name: String) throws(IOError) -> any StorageDirectory {
    BadDirectory(try inner.openDirectory(name), bad, suffix: suffix)
  }

  func createDirectory(_ name: String) throws(IOError) -> any StorageDirectory {
    BadDirectory(try inner.createDirectory(name), bad, suffix: suffix)
  }

  func contains(_ name: String) throws(IOError) -> Bool { try inner.contains(name) }
  func entryNames() throws(IOError) -> [String] { try inner.entryNames() }
  func rename(_ from: String, to: String) throws(IOError) { try inner.rename(from, to: to) }
  func removeFile(_ name: String) throws(IOError) { try inner.removeFile(name) }
  func sync() throws(IOError) { try inner.sync() }
  func freeBytes() throws(IOError) -> Int64 { try inner.freeBytes() }
  func tryLock(_ name: String) throws(IOError) -> FileLock? { try inner.tryLock(name) }
}

private final class BadFile: StorageFile {
  private let inner: any StorageFile
  private let bad: BadRange

  init(_ inner: any StorageFile, _ bad: BadRange) { (self.inner, self.bad) = (inner, bad) }

  var path: String { inner.path }
  var sizeBytes: Int64 { inner.sizeBytes }

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int64) throws(IOError) {
    try bad.check(path, offset, buffer.count)
    try inner.read(into: buffer, at: offset)
  }

  func currentSizeBytes() throws(IOError) -> Int64 { try inner.currentSizeBytes() }
  func forgetCached(_ range: ByteRange) throws(IOError) { try inner.forgetCached(range) }
  func allocatedRange(atOrAfter offset: Int64) throws(IOError) -> ByteRange? {
    try inner.allocatedRange(atOrAfter: offset)
  }
  func write(_ buffer: UnsafeRawBufferPointer, at offset: Int64) throws(IOError) {
    try inner.write(buffer, at: offset)
  }
  func writeZeros(_ range: ByteRange) throws(IOError) { try inner.writeZeros(range) }
  func truncate(to sizeBytes: Int64) throws(IOError) { try inner.truncate(to: sizeBytes) }
  func sync() throws(IOError) { try inner.sync() }
}
