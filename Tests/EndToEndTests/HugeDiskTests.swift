import Foundation
import Glibc
import ReplTestKit
import Testing

extension EndToEnd {
  /// A thin disk near the largest that ESXi makes: only what is in it may cost anything.
  @Suite(.needs("qemu-img", "mkfs.xfs"), .needsLoopMounts, .timeLimit(.minutes(6)))
  struct HugeDiskTests {
    private static let sizeBytes = 42 << 40
    private static let pieceBytes = 1 << 20
    private static let pieces = 1024
    /// Both daemons; the read and send buffers are 40 MiB of it.
    private static let memoryLimitBytes = 128 << 20

    private func makeDisk(in lab: Lab, random: inout SeededRandom) throws -> FlatDisk {
      let descriptor = """
        # Disk DescriptorFile
        version=1
        encoding="UTF-8"
        CID=fffffffe
        parentCID=ffffffff
        createType="vmfs"

        # Extent description
        RW \(Self.sizeBytes / 512) VMFS "web01-flat.vmdk"

        # The Disk Data Base
        #DDB

        ddb.adapterType = "lsilogic"
        ddb.geometry.cylinders = "5614336"
        ddb.geometry.heads = "255"
        ddb.geometry.sectors = "63"
        ddb.thinProvisioned = "1"
        ddb.uuid = "60 00 C2 9f 4d 5a 11 22-33 44 55 66 77 88 99 aa"
        ddb.virtualHWVersion = "19"

        """
      try descriptor.write(toFile: "\(lab.sourceFolder)/web01.vmdk", atomically: true, encoding: .utf8)
      lab.diskNames.append("web01.vmdk")
      let disk = FlatDisk(path: "\(lab.sourceFolder)/web01-flat.vmdk")
      try Tool.must(["truncate", "-s", "\(Self.sizeBytes)", disk.path])
      let pages = (0..<Self.pieces).map { _ in
        Int.random(in: 0..<(Self.sizeBytes >> 20), using: &random) << 8
      }
      try disk.write(pages: pages) { page in
        let seed = UInt64(page)
        return PageMaker.random(byteCount: Self.pieceBytes / 2, seed: seed)
          + PageMaker.text(byteCount: Self.pieceBytes / 2, seed: seed)
      }
      return disk
    }

    @Test("a 42 TiB disk with 1 GiB in it passes in bounded memory and in time that follows the data")
    func thinDisk() throws {
      let seed = UInt64.random(in: 0...UInt64.max)
      var random = SeededRandom(seed: seed)
      let lab = try Lab(on: try LoopMount(.xfs, sizeGiB: 20))
      let disk = try makeDisk(in: lab, random: &random)
      try lab.writeVMX()
      try lab.configure()
      try lab.startReceiver()
      let first = try timedPass(lab)
      let data = Int64(Self.pieces * Self.pieceBytes)
      // Besides the data, a pass's share of the holes.
      #expect(
        first.read <= data + (8 << 20) && first.changed <= data && first.changed > data / 2, "seed \(seed)")
      let pages = (0..<10).map { _ in Int.random(in: 0..<(Self.sizeBytes >> 12), using: &random) }
      try disk.write(pages: pages) { _ in PageMaker.random(byteCount: 4096, seed: random.next()) }
      let second = try timedPass(lab)
      #expect(second.changed == 10 * 4096, "seed \(seed)")
      try lab.expectIdentical("seed \(seed)")
      // The limits are for release builds.
      if ProcessInfo.processInfo.environment["VMREPL_BIN_DIR"] != nil {
        #expect(first.seconds < 30)
        #expect(second.seconds < 10)
      }
    }

    private func timedPass(_ lab: Lab) throws -> (seconds: Double, read: Int64, changed: Int64) {
      let running = try lab.startPass()
      var senderPeak = 0
      let began = Date()
      try eventually(seconds: 300, "the pass ends") {
        senderPeak = max(senderPeak, running.peakMemoryBytes)
        return !running.process.isRunning
      }
      let seconds = Date().timeIntervalSince(began)
      let result = try running.finish(seconds: 10)
      #expect(result.status == 0, "\(result.errors)")
      let pass = try #require(try Lab.decodeStatus(result.output).lastPass)
      let receiverPeak = try #require(lab.receiver).peakMemoryBytes
      print(
        "42 TiB: \(seconds) s, \(pass.readBytes) bytes read, \(pass.changedBytes) changed,"
          + " sender \(senderPeak >> 20) MiB, receiver \(receiverPeak >> 20) MiB")
      #expect(senderPeak > 0 && senderPeak < Self.memoryLimitBytes)
      #expect(receiverPeak > 0 && receiverPeak < Self.memoryLimitBytes)
      return (seconds, pass.readBytes, pass.changedBytes)
    }
  }
}
