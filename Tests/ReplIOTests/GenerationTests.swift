import Foundation
import ReplModel
import Testing

@testable import ReplIO

/// What tells a file that nobody touched from one that somebody wrote.
@Suite("File generations") struct GenerationTests {
  private func mark(
    inode: UInt64 = 7, size: Int64 = 4096, seconds: Double = 1_800_000_000
  ) -> FileGeneration {
    FileGeneration(
      inode: inode, sizeBytes: size, modifiedNanoseconds: Int64(seconds) * 1_000_000_000)
  }

  @Test("where marks are exact every change is told; elsewhere numbers and two seconds say nothing")
  func rules() {
    for isExact in [true, false] { #expect(mark().change(to: mark(), isExact: isExact) == nil) }
    #expect(mark().change(to: mark(inode: 8), isExact: true)?.contains("inode 8") == true)
    #expect(mark().change(to: mark(inode: 8), isExact: false) == nil)
    for isExact in [true, false] {
      #expect(mark().change(to: mark(size: 512), isExact: isExact)?.contains("512 bytes") == true)
      #expect(mark().change(to: mark(seconds: 1_800_000_003), isExact: isExact)?.contains("wrote") == true)
    }
    #expect(mark().change(to: mark(seconds: 1_800_000_002), isExact: true) != nil)
    #expect(mark().change(to: mark(seconds: 1_800_000_002), isExact: false) == nil)
    #expect(mark().change(to: mark(seconds: 1_799_999_990), isExact: false) != nil, "an older time too")
  }

  @Test("a write of one byte, and only that, changes the generation of a real file")
  func realFile() throws {
    let path = NSTemporaryDirectory() + "vmrepl-generation-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    // Best effort: a leftover in the temporary folder harms nobody.
    defer { try? FileManager.default.removeItem(atPath: path) }
    let directory = try PosixDirectory(path: path)
    let file = try directory.openPosixFile("disk", .createNew)
    try file.truncate(to: 1 << 20)
    try file.syncWithTimes()
    let left = try #require(try file.generation())
    #expect(try file.change(since: left) == nil)
    try FileManager.default.setAttributes([.posixPermissions: 0o640], ofItemAtPath: "\(path)/disk")
    let buffer = AlignedBuffer(byteCount: 4096)
    try file.forgetCached(ByteRange(offset: 0, length: 1 << 20))
    try file.read(into: buffer.bytes, at: 0)
    #expect(try file.change(since: left) == nil, "neither reading nor another mode is a change")
    // The clock of files may stand still for some milliseconds.
    let end = Date().addingTimeInterval(10)
    while try file.change(since: left) == nil, Date() < end { try file.write(buffer.readable, at: 0) }
    #expect(try file.change(since: left)?.contains("somebody else wrote it") == true)
  }

  @Test("what stands in the place of a file that is to be written is refused as what it is")
  func otherKinds() throws {
    let path = NSTemporaryDirectory() + "vmrepl-kinds-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: "\(path)/folder", withIntermediateDirectories: true)
    // Best effort, as above.
    defer { try? FileManager.default.removeItem(atPath: path) }
    try FileManager.default.createSymbolicLink(atPath: "\(path)/link", withDestinationPath: "\(path)/none")
    #expect(mkfifo("\(path)/fifo", 0o600) == 0)
    let directory = try PosixDirectory(path: path)
    for name in ["folder", "link", "fifo"] {
      for access in [FileAccess.readWrite, .createIfMissing] {
        let error = #expect(throws: IOError.self) { _ = try directory.openFile(name, access) }
        #expect(error?.kind == .wrongFileType, "\(name): \(String(describing: error))")
      }
    }
    #expect(!FileManager.default.fileExists(atPath: "\(path)/none"), "nothing is made through a link")
  }
}
