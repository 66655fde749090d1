import Foundation
import ReplModel
import ReplService
import ReplTestKit
import Testing

/// The main job, with the two real executables.
extension EndToEnd {
  @Suite(.needs("mkfs.ext4", "qemu-img")) struct ReplicationTests {
    @Test("a VM with a flat and a sparse disk is copied, kept current, and judged identical")
    func twoDisks() throws {
      let lab = try Lab()
      let raw = lab.folder + "/fs.raw"
      try RealFilesystem.make(at: raw, sizeMiB: 160, from: ["/usr/share/perl"])
      try lab.addDisk(subformat: "monolithicFlat", sizeBytes: 0, from: raw)
      try lab.addDisk(subformat: "monolithicSparse", sizeBytes: 0, from: raw)
      try lab.addDisk(subformat: "twoGbMaxExtentFlat", sizeBytes: 40 << 20)
      try lab.writeVMX()
      try lab.configure()
      try lab.startReceiver()
      let first = try lab.pass()
      try lab.expectIdentical()
      #expect(first.newestPoint?.reference.number == 1)

      try lab.change(disk: 0, ["write -P 0x11 1M 128k", "write -z 8M 256k"])
      try lab.change(disk: 1, ["write -P 0x22 5M 64k"])
      try lab.change(disk: 2, ["write -P 0x33 39M 1M"])
      let second = try lab.pass()
      try lab.expectIdentical()
      let pass = try #require(second.lastPass)
      #expect(pass.changedBytes <= (128 + 256 + 64 + 1024) << 10)
      #expect(pass.wireBytes < 40_000, "constant bytes compress to nothing; sent \(pass.wireBytes)")
      #expect(second.newestPoint?.reference.number == 2)

      let standby = try lab.standbyFolder
      let names = try FileManager.default.contentsOfDirectory(atPath: standby)
      #expect(!names.contains("SETTLING.txt"))
      let vmx = try String(contentsOfFile: "\(standby)/web01.vmx", encoding: .utf8)
      for line in [
        "scsi0:0.fileName = \"scsi0-0.vmdk\"", "scsi0:2.fileName = \"scsi0-2.vmdk\"",
        "uuid.action = \"keep\"",
      ] {
        #expect(vmx.contains(line), "\(line)")
      }
      let nvram = try Data(contentsOf: URL(fileURLWithPath: "\(standby)/web01.nvram"))
      #expect(nvram == (try Data(contentsOf: URL(fileURLWithPath: "\(lab.sourceFolder)/web01.nvram"))))
    }

    @Test(
      "three rounds of random changes on 1 GiB: identical, and the wire below 1.1 of zstd -1 over the runs"
    )
    func randomRounds() throws {
      let lab = try Lab()
      let raw = lab.folder + "/fs.raw"
      try RealFilesystem.make(at: raw, sizeMiB: 1024, from: ["/usr/share/perl", "/usr/share/perl5", "/etc"])
      try lab.addDisk(subformat: "monolithicFlat", sizeBytes: 0, from: raw)
      try FileManager.default.removeItem(atPath: raw)
      try lab.writeVMX()
      try lab.configure()
      try lab.startReceiver()
      try lab.pass()
      try lab.expectIdentical()
      let seed = UInt64.random(in: 0...UInt64.max)
      var random = SeededRandom(seed: seed)
      let disk = FlatDisk(path: "\(lab.sourceFolder)/web01-flat.vmdk")
      let real = try Data(contentsOf: URL(fileURLWithPath: "/usr/bin/perl"))
      for round in 1...3 {
        let before = try disk.copy()
        let pages = (0..<600).map { _ in Int.random(in: 0..<(1 << 18), using: &random) }
        try disk.write(pages: pages) { _ in
          switch Int.random(in: 0..<4, using: &random) {
          case 0: return [UInt8](repeating: 0, count: 4096)
          case 1: return (0..<4096).map { _ in UInt8.random(in: 0...255, using: &random) }
          case 2: return Array("\(round) a line of text, repeated\n".utf8).cycled(to: 4096)
          default:
            let start = Int.random(in: 0..<(real.count - 4096), using: &random)
            return Array(real[start..<(start + 4096)])
          }
        }
        let change = try FlatDisk.compressedChange(from: before, to: try disk.contents())
        let pass = try #require(try lab.pass().lastPass)
        try lab.expectIdentical()
        let limit = Double(change.bytes) * 1.1
        #expect(Double(pass.wireBytes) < limit, "round \(round), seed \(seed): \(change)")
        print("round \(round): \(change.pages) pages, zstd -1 \(change.bytes) bytes, wire \(pass.wireBytes)")
      }
    }

    @Test("an unchanged 4 GiB disk passes in under 3 s and 100 MiB of memory a side")
    func unchanged() throws {
      let lab = try Lab()
      try lab.addDisk(subformat: "monolithicFlat", sizeBytes: 4 << 30)
      try lab.writeVMX()
      let disk = FlatDisk(path: "\(lab.sourceFolder)/web01-flat.vmdk")
      // Half of it data: reading holes would be too easy.
      let block = (0..<(1 << 20)).map { UInt8(truncatingIfNeeded: $0 &* 2_654_435_761 >> 13) }
      for megabyte in 0..<2048 {
        try disk.write(pages: [megabyte * 512]) { _ in [UInt8(megabyte & 255)] + block.dropFirst() }
      }
      try lab.configure()
      try lab.startReceiver()
      try lab.pass(seconds: 300)
      let running = try lab.startPass()
      var peak = 0
      let began = Date()
      while running.process.isRunning {
        peak = max(peak, running.peakMemoryBytes)
        usleep(1000)
      }
      let seconds = Date().timeIntervalSince(began)
      let result = try running.finish(seconds: 10)
      #expect(result.status == 0, "\(result.errors)")
      let receiverPeak = lab.receiver?.peakMemoryBytes ?? .max
      print("unchanged 4 GiB: \(seconds) s, sender \(peak >> 20) MiB, receiver \(receiverPeak >> 20) MiB")
      #expect(peak > 0 && peak < 100 << 20)
      #expect(receiverPeak < 100 << 20)
      // The limit is for release builds; a debug build of the loop is twenty times slower.
      if ProcessInfo.processInfo.environment["VMREPL_BIN_DIR"] != nil { #expect(seconds < 3) }
      let pass = try #require(try Lab.decodeStatus(result.output).lastPass)
      #expect(pass.changedBytes == 0 && pass.wireBytes < 20_000)
    }

    @Test("a running VM is refused with its reason, and read as fuzzy where the configuration allows it")
    func running() throws {
      let lab = try Lab()
      try lab.addDisk(subformat: "monolithicFlat", sizeBytes: 8 << 20)
      try lab.writeVMX()
      try lab.configure()
      try lab.startReceiver()
      _ = FileManager.default.createFile(atPath: "\(lab.sourceFolder)/web01-1234.vswp", contents: nil)
      let refused = try lab.startPass().finish(seconds: 60)
      #expect(refused.status == 1)
      #expect(refused.errors.contains("web01-1234.vswp") && refused.errors.contains("allow_fuzzy"))
      let config = try String(contentsOfFile: lab.senderConfig, encoding: .utf8)
      try config.replacingOccurrences(
        of: "web01.vmx", with: "web01.vmx\n    freeze: {provider: none, allow_fuzzy: true}"
      )
      .write(toFile: lab.senderConfig, atomically: true, encoding: .utf8)
      let status = try lab.pass()
      #expect(status.fuzzyPoint?.label == .fuzzy)
      #expect(status.newestPoint == nil, "failover does not offer it, so the lag does not end with it")
    }

    @Test("a copied VM with the same UUID is refused, and so is the same VM through a linked folder")
    func copiedVM() throws {
      let lab = try Lab()
      try lab.addDisk(subformat: "monolithicFlat", sizeBytes: 8 << 20)
      try lab.writeVMX()
      let (copy, link) = ("\(lab.folder)/primary/copy", "\(lab.folder)/primary/link")
      try FileManager.default.copyItem(atPath: lab.sourceFolder, toPath: copy)
      try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: lab.sourceFolder)
      try lab.configure(sender: "  - vmx: \(copy)/web01.vmx\n  - vmx: \(link)/web01.vmx")
      try lab.startReceiver()
      let result = try lab.startPass().finish(seconds: 60)
      #expect(result.status == 78)
      #expect(result.errors.contains("\(copy)/web01.vmx: has the same UUID as \(lab.sourceFolder)/web01.vmx"))
      #expect(result.errors.contains("\(link)/web01.vmx: has the same UUID as"))
      let states = try StatusJSON.decode(Array(result.output.utf8)).vms.map(\.state)
      #expect(states == [.idle, .stopped, .stopped])
      let offline = try Tool.must([Tool.sender, "status", "--json", "--config", lab.senderConfig])
      #expect(try StatusJSON.decode(Array(offline.utf8)).vms.count == 3)
      let names = try FileManager.default.contentsOfDirectory(atPath: lab.storeFolder)
      #expect(names.count { $0.hasPrefix("web01") } == 1)
    }

    @Test("a VM whose VMX cannot be read keeps its point and name")
    func unreadableVMX() throws {
      let lab = try Lab()
      try lab.addDisk(subformat: "monolithicFlat", sizeBytes: 8 << 20)
      try lab.writeVMX()
      try lab.configure()
      try lab.startReceiver()
      try lab.pass()
      try FileManager.default.removeItem(atPath: "\(lab.sourceFolder)/web01.vmx")
      let result = try lab.startPass().finish(seconds: 60)
      #expect(result.status == 1, "\(result.errors)")
      let offline = try Tool.must([Tool.sender, "status", "--json", "--config", lab.senderConfig])
      let status = try Lab.decodeStatus(offline)
      #expect(status.name == "web01" && status.newestPoint != nil && status.state == .failing)
    }

    @Test("a disk that cannot be replicated is refused by its kind before anything is sent")
    func unsupported() throws {
      let lab = try Lab()
      try lab.addDisk(subformat: "monolithicFlat", sizeBytes: 8 << 20)
      try lab.writeVMX()
      let descriptor = "\(lab.sourceFolder)/web01.vmdk"
      let text = try String(contentsOfFile: descriptor, encoding: .utf8)
      // A raw device in physical mode: a mapping file without data.
      try text.replacingOccurrences(of: "monolithicFlat", with: "vmfsPassthroughRawDeviceMap")
        .replacingOccurrences(of: " FLAT \"web01-flat.vmdk\" 0", with: " VMFSRDM \"web01-flat.vmdk\"")
        .write(toFile: descriptor, atomically: true, encoding: .utf8)
      try lab.configure()
      try lab.startReceiver()
      let result = try lab.startPass().finish(seconds: 60)
      #expect(result.status == 65)
      #expect(result.errors.contains("RDM, physical mode"), "\(result.errors)")
      #expect(result.errors.contains("scsi0:0"), "\(result.errors)")
      let names = try FileManager.default.contentsOfDirectory(atPath: lab.storeFolder)
      #expect(names == [".repl-store"])
    }
  }
}

extension Array where Element == UInt8 {
  /// Repeats itself up to a length.
  func cycled(to count: Int) -> [UInt8] { (0..<count).map { self[$0 % self.count] } }
}
