import Foundation
import ReplModel
import Testing

@testable import ReplIO

/// A folder that is removed afterwards.
final class Scratch {
  let path: String
  let directory: PosixDirectory

  init() throws {
    path = NSTemporaryDirectory() + "repl-io-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    directory = try PosixDirectory(path: path)
  }

  // Best effort: a leftover in the temporary folder harms nobody.
  deinit { try? FileManager.default.removeItem(atPath: path) }
}

@Suite struct PosixStorageTests {
  @Test("free space that is without a limit, or more than can be counted, is the most that can be")
  func freeSpace() {
    #expect(PosixDirectory.freeBytes(blocks: 1 << 40, blockBytes: 4096) == 1 << 52)
    #expect(PosixDirectory.freeBytes(blocks: .max, blockBytes: 4096) == .max)
    #expect(PosixDirectory.freeBytes(blocks: 1 << 52, blockBytes: 4096) == .max)
  }

  @Test("a replaced file is there whole, with mode 0600, and nothing is left beside it")
  func replace() throws {
    let scratch = try Scratch()
    try scratch.directory.replaceFile("catalog", with: [1, 2, 3])
    try scratch.directory.replaceFile("catalog", with: [4, 5])
    #expect(try scratch.directory.readFile("catalog", limitBytes: 10) == [4, 5])
    #expect(try scratch.directory.entryNames() == ["catalog"])
    let attributes = try FileManager.default.attributesOfItem(atPath: scratch.path + "/catalog")
    #expect(attributes[.posixPermissions] as? Int == 0o600)
  }

  @Test("what a crash left aside does not stand in the way")
  func leftover() throws {
    let scratch = try Scratch()
    _ = try scratch.directory.openFile("catalog.new", .createNew)
    try scratch.directory.replaceFile("catalog", with: [7])
    #expect(try scratch.directory.readFile("catalog", limitBytes: 10) == [7])
  }

  @Test("a file over the limit is refused before it is read")
  func limit() throws {
    let scratch = try Scratch()
    try scratch.directory.replaceFile("big", with: [UInt8](repeating: 1, count: 11))
    #expect(throws: IOError.self) { try scratch.directory.readFile("big", limitBytes: 10) }
  }

  @Test("names that leave the directory are refused", arguments: ["", ".", "..", "a/b", "../x", "a\0b"])
  func names(_ name: String) throws {
    let scratch = try Scratch()
    #expect(throws: IOError.self) { try scratch.directory.openFile(name, .createIfMissing) }
    #expect(throws: IOError.self) { try scratch.directory.rename("x", to: name) }
    #expect(throws: IOError.self) { try scratch.directory.removeFile(name) }
  }

  @Test("links, FIFOs and files with two names are not opened for writing")
  func wrongTypes() throws {
    let scratch = try Scratch()
    try scratch.directory.replaceFile("real", with: [1])
    symlink("real", scratch.path + "/soft")
    link(scratch.path + "/real", scratch.path + "/hard")
    mkfifo(scratch.path + "/fifo", 0o600)
    for name in ["soft", "hard", "fifo", "real"] {
      #expect(throws: IOError.self, "\(name)") { try scratch.directory.openFile(name, .readWrite) }
    }
    #expect(throws: IOError.self) { try scratch.directory.openFile("soft", .read) }
    symlink("/etc", scratch.path + "/outside")
    #expect(throws: IOError.self) { try scratch.directory.openFile("outside/passwd", .read) }
    #expect(throws: IOError.self) { try scratch.directory.openFile("../../etc/passwd", .read) }
  }

  @Test("holes are found, read as zeros, and punched again")
  func holes() throws {
    let scratch = try Scratch()
    let file = try scratch.directory.openFile("disk", .createNew)
    try file.truncate(to: 8 << 20)
    let page = [UInt8](repeating: 9, count: 65536)
    try page.withUnsafeBytes { try file.write($0, at: 4 << 20) }
    #expect(try file.allocatedRange(atOrAfter: 0) == ByteRange(offset: 4 << 20, length: 65536))
    #expect(try file.allocatedRange(atOrAfter: (4 << 20) + 65536) == nil)
    try file.writeZeros(ByteRange(offset: 4 << 20, length: 65536))
    var back = [UInt8](repeating: 1, count: 65536)
    try back.withUnsafeMutableBytes { try file.read(into: $0, at: 4 << 20) }
    #expect(back.allSatisfy { $0 == 0 })
    #expect(file.sizeBytes == 8 << 20)
  }

  @Test("reading past the end is an error, never old buffer bytes")
  func shortRead() throws {
    let scratch = try Scratch()
    try scratch.directory.replaceFile("short", with: [1, 2, 3])
    let file = try scratch.directory.openFile("short", .read)
    var buffer = [UInt8](repeating: 0xEE, count: 8)
    let error = #expect(throws: IOError.self) {
      try buffer.withUnsafeMutableBytes { try file.read(into: $0, at: 0) }
    }
    #expect(error?.kind == .unexpectedEnd && error?.offsetBytes == 3)
  }

  @Test("a lock keeps others out and ends with its holder")
  func locks() throws {
    let scratch = try Scratch()
    var held = try scratch.directory.tryLock("lock")
    #expect(held != nil)
    #expect(try scratch.directory.tryLock("lock") == nil)
    held = nil
    #expect(try scratch.directory.tryLock("lock") != nil)
  }
}

@Suite struct ThreadingTests {
  @Test("a bounded queue hands over everything, in order, and then ends")
  func queue() {
    let queue = BoundedQueue<Int>(capacity: 3)
    let producer = NamedThread.start("producer") {
      for number in 0..<1000 { queue.push(number) }
      queue.close()
    }
    var received: [Int] = []
    while let number = queue.pop() { received.append(number) }
    producer.join()
    #expect(received == Array(0..<1000))
  }

  @Test("cancelling wakes a producer that waits for room, and what was queued is dropped")
  func cancel() {
    let queue = BoundedQueue<Int>(capacity: 1)
    queue.push(1)
    let accepted = Monitor<Bool?>(nil)
    let producer = NamedThread.start("producer") {
      let answer = queue.push(2)
      accepted.withLock { $0 = answer }
    }
    queue.cancel()
    producer.join()
    #expect(accepted.withLock { $0 } == false)
    #expect(queue.pop() == nil)
  }

  @Test("a monitor's wait ends at its deadline and at its condition")
  func monitor() {
    let monitor = Monitor(0)
    #expect(monitor.wait(seconds: 0.02) { $0 == 1 ? true : nil } == nil)
    let thread = NamedThread.start("setter") { monitor.withLock { $0 = 1 } }
    #expect(monitor.wait(seconds: 10) { $0 == 1 ? true : nil } == true)
    thread.join()
  }
}
