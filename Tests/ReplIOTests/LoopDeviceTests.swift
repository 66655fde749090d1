import Foundation
import Glibc
import ReplModel
import Testing

@testable import ReplIO

/// A file as a block device, detached with the object.
private final class LoopDevice {
  /// The file.
  let medium: String
  let path: String

  init(bytes: Int64) throws {
    medium = NSTemporaryDirectory() + "vmrepl-loop-\(UUID().uuidString)"
    try #require(FileManager.default.createFile(atPath: medium, contents: nil))
    try #require(truncate(medium, Int(bytes)) == 0)
    path = try Self.run("losetup", "--find", "--show", medium)
  }

  deinit {
    // Best effort: the next start of the machine has no such device.
    _ = try? Self.run("losetup", "--detach", path)
    unlink(medium)
  }

  private static func run(_ arguments: String...) throws -> String {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = arguments
    let output = Pipe()
    process.standardOutput = output
    try process.run()
    let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    try #require(process.terminationStatus == 0, "\(arguments)")
    return text.trimmingCharacters(in: .whitespacesAndNewlines)
  }
}

@Suite("Block devices of this machine") struct LoopDeviceTests {
  @Test(
    "a device that changes behind the cache is seen to have changed by who wrote it, once that is forgotten",
    .enabled(
      if: geteuid() == 0 && access("/dev/loop-control", R_OK | W_OK) == 0, "needs root and loop devices"))
  func changedBehind() throws {
    let loop = try LoopDevice(bytes: 4 << 20)
    let device = try BlockDevice.open(loop.path, isWritable: true)
    let disk = DeviceDisk(device, sizeBytes: 2 << 20, punches: false)
    let page = AlignedBuffer(byteCount: 4096)
    page.bytes.initializeMemory(as: UInt8.self, repeating: 7)
    let offset: Int64 = 1 << 20
    try disk.write(page.readable, at: offset)
    try disk.sync()
    let medium = open(loop.medium, O_WRONLY)
    try #require(pwrite(medium, "x", 1, Int(offset)) == 1)
    close(medium)
    try disk.read(into: page.bytes, at: offset)
    try #require(page.bytes[0] == 7, "the cache has it no more, so this shows nothing")
    try disk.forgetCached(ByteRange(offset: offset, length: 64 << 20))
    try disk.read(into: page.bytes, at: offset)
    #expect(page.bytes[0] == UInt8(ascii: "x") && page.bytes[1] == 7)
  }
}
