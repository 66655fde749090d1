import Foundation
import Glibc
import ReplIO
import ReplModel
import ReplTestKit
import Testing

extension EndToEnd {
  /// Devices that fail: sectors that cannot be read or written, flushes that fail, a device that does not
  /// answer.
  @Suite(
    .needs("curl", "qemu-storage-daemon", "fusermount3", "losetup", "mkfs.ext4", "filefrag"), .needsLoopMounts
  )
  struct DeviceFaultTests {
    /// A site whose store is an ext4 on a disk that can be made to fail.
    private struct Failing {
      let site: FaultSite
      let disk: ExportedDisk

      init() throws {
        site = try FaultSite()
        let image = site.folder + "/image"
        try Tool.must(["truncate", "-s", "64M", image])
        try Tool.must(["mkfs.ext4", "-q", "-F", image])
        disk = try ExportedDisk(image: image, as: site.folder + "/export", .none)
        try disk.mount(at: site.lab.storeFolder)
        try site.begin()
      }

      /// Another behaviour of the device, with the receiver stopped and started.
      func reopen(_ filter: ExportedDisk.Filter) throws {
        try site.lab.stopReceiver()
        try disk.reopen(filter)
        try site.lab.startReceiver()
      }

      /// The sector on the device where a byte of a standby disk lies.
      func sector(ofByte offset: Int) throws -> Int {
        let path = "\(try site.lab.standbyFolder)/scsi0-0-flat.vmdk"
        let text = try Tool.must(["filefrag", "-v", "-b512", path])
        for line in text.split(separator: "\n") {
          let numbers = line.split { !$0.isNumber }.compactMap { Int($0) }
          guard line.contains(".."), numbers.count >= 6, numbers[1] * 512 <= offset,
            offset < (numbers[2] + 1) * 512
          else { continue }
          return numbers[3] + offset / 512 - numbers[1]
        }
        throw ToolFailure(text: "byte \(offset) is in no extent: \(text)")
      }

      func end() throws {
        try site.lab.stopReceiver()
        try disk.close()
      }
    }

    @Test(
      "row 12: a flush of the store's device fails once: told, not tried again, nothing lost, and it goes on")
    func flushFailsOnce() throws {
      let seed = FaultSeed.make("failing flush")
      var random = SeededRandom(seed: seed)
      let failing = try Failing()
      var reds = 0
      for version in 2...(FaultSeed.isFull ? 12 : 4) {
        try failing.reopen(.failingFlush(Int.random(in: 2...14, using: &random)))
        try failing.site.vm.writeVersion(version)
        let before = Int(try failing.site.vm.standby().number)
        let result = try failing.site.lab.startPass().finish(seconds: 60)
        if result.status != 0 {
          reds += 1
          // When the flush was that of the settling, the commit is there already.
          let number = try failing.site.numberTold(in: result)
          #expect((before...before + 1).contains(number), "point \(number) after \(before)")
          try failing.site.expectRed(result, naming: [], newest: UInt64(number))
        }
        // A filesystem whose journal could not be flushed is read-only until it is mounted anew.
        try failing.reopen(.none)
        try failing.site.lab.pass()
        try failing.site.expect(version: version)
      }
      print("failing flush: \(reds) passes red, seed \(seed)")
      try failing.end()
    }

    @Test(
      "row 13: a sector of a standby disk cannot be written: told, the journal is kept, others go on"
    )
    func unwritableSector() throws {
      let failing = try Failing()
      let site = failing.site
      let other = try OtherVM(beside: site.lab)
      try site.lab.pass()
      try site.vm.writeVersion(2)
      try other.change()
      let sector = try failing.sector(ofByte: site.vm.pageChanged(by: 2) * 4096)
      try failing.reopen(.failing(.write, sector: sector))
      let result = try site.lab.startPass().finish(seconds: 60)
      try eventually("it is told") {
        site.lab.receiver?.errors.contains("scsi0-0-flat.vmdk: sync failed: Input/output error") == true
      }
      #expect(try other.isIdentical(), "the other VM goes on")
      let again = try site.lab.startPass().finish(seconds: 60)
      #expect(again.status != 0, "\(result.status), then \(again.output)")
      #expect(again.errors.contains("scsi0-0-flat.vmdk"), "\(again.errors)")
      #expect(try site.journals().count == 1, "the commit is in it")
      let status = try site.receiverStatus(named: "web01")
      #expect(status.lastFailure?.cause.contains("scsi0-0-flat.vmdk") == true, "\(status)")
      try failing.reopen(.none)
      try site.lab.pass()
      try site.expect(version: 2)
      try failing.end()
    }

    @Test(
      "row 14: a sector of a standby disk cannot be read: told with its place, nothing is taken for equal")
    func unreadableSector() throws {
      let failing = try Failing()
      let site = failing.site
      try site.vm.writeVersion(2)
      let sector = try failing.sector(ofByte: site.vm.pageChanged(by: 2) * 4096)
      try failing.reopen(.failing(.read, sector: sector))
      // What a pass overwrites is read first: the way back needs it.
      _ = try site.lab.startPass().finish(seconds: 60)
      let again = try site.lab.startPass().finish(seconds: 60)
      #expect(
        again.status != 0 && again.errors.contains("scsi0-0-flat.vmdk: read failed at byte"),
        "\(again.errors)")
      #expect(try site.journals().count == 1, "the commit is in it")
      let status = try site.receiverStatus(named: "web01")
      #expect(status.lastFailure?.cause.contains("Input/output error") == true, "\(status)")
      try failing.reopen(.none)
      try site.lab.pass()
      try site.expect(version: 2)
      try failing.end()
    }

    @Test(
      "row 26: a sector of a source disk cannot be read: told with its place, never taken for zeros"
    )
    func unreadableSource() throws {
      let site = try FaultSite()
      try site.begin()
      try site.vm.writeVersion(2)
      let page = try site.vm.pageChanged(by: 2)
      let flat = site.vm.flat(0).path
      let image = site.folder + "/source"
      try FileManager.default.moveItem(atPath: flat, toPath: image)
      let disk = try ExportedDisk(image: image, as: flat, .failing(.read, sector: page * 8))
      try site.expectRed(
        site.lab.startPass().finish(seconds: 60), naming: ["web01-flat.vmdk", "Input/output error", "byte"])
      try site.expect(version: 1)
      // Another file in its place: one by FUSE has a new time of change whenever it is asked.
      try disk.close()
      try FileManager.default.removeItem(atPath: flat)
      try FileManager.default.moveItem(atPath: image, toPath: flat)
      try site.expectGoesOn(version: 2)
    }

    @Test(
      "row 19: a store that hangs: both daemons answer and say what runs, and the pass goes on"
    )
    func hangingStore() throws {
      let failing = try Failing()
      let site = failing.site
      try site.lab.stopReceiver()
      let ports = try site.lab.servePages()
      try site.lab.startReceiver()
      try site.vm.writeWholeVersion(2)
      let daemon = try Running([Tool.sender, "run", "--config", site.lab.senderConfig])
      try eventually("the middle of a pass") { try !site.journals().isEmpty }
      failing.disk.pause(true)
      // Until the daemon is continued nothing of the store can be asked for.
      let outcome = Result { () throws -> (lags: [Double], phase: String?, receiver: VMStatus?) in
        var (lags, phase): ([Double], String?) = ([], nil)
        try eventually("the lag rises") {
          let status = try #require(try site.page(ports.sender), "the sender must answer")
          phase = status.running?.phase
          let lag = status.lagSeconds(now: SystemTime().wallTime()) ?? 0
          if lags.isEmpty || lag > lags[0] + 1 { lags.append(lag) }
          return lags.count == 2
        }
        return (lags, phase, try site.page(ports.receiver))
      }
      failing.disk.pause(false)
      let seen = try outcome.get()
      print("while the store hangs: phase \(seen.phase ?? "none"), lag \(seen.lags)")
      #expect(seen.phase != nil, "the sender says where it waits")
      #expect(seen.receiver != nil, "the receiver answers")
      try eventually(seconds: 60, "the pass goes on") { daemon.errors.contains(" pass-committed ") }
      try site.expect(version: 2)
      daemon.signal(SIGTERM)
      try daemon.finish(seconds: 10)
      try failing.end()
    }
  }
}

/// A second VM of the same sender.
struct OtherVM {
  private let lab: Lab
  private let folder: String
  private var disk: FlatDisk { FlatDisk(path: "\(folder)/db01-flat.vmdk") }

  init(beside lab: Lab) throws {
    self.lab = lab
    folder = "\(lab.folder)/primary/db01"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    try Tool.must([
      "qemu-img", "create", "-q", "-f", "vmdk", "-o", "subformat=monolithicFlat", "\(folder)/db01.vmdk", "1M",
    ])
    try disk.write(pages: [3, 4, 5]) { page in [UInt8](repeating: UInt8(page), count: 4096) }
    let vmx = """
      .encoding = "UTF-8"
      config.version = "8"
      virtualHW.version = "19"
      displayName = "db01"
      guestOS = "debian12-64"
      uuid.bios = "56 4d 11 22 33 44 55 66-77 88 99 aa bb cc dd ee"
      scsi0.present = "TRUE"
      scsi0:0.present = "TRUE"
      scsi0:0.fileName = "db01.vmdk"

      """
    try vmx.write(toFile: "\(folder)/db01.vmx", atomically: true, encoding: .utf8)
    let config = try String(contentsOfFile: lab.senderConfig, encoding: .utf8)
    try config.replacing("vms:\n", with: "vms:\n  - vmx: \(folder)/db01.vmx\n")
      .write(toFile: lab.senderConfig, atomically: true, encoding: .utf8)
  }

  func change() throws {
    try disk.write(pages: [4, 9]) { page in [UInt8](repeating: UInt8(page + 80), count: 4096) }
  }

  func isIdentical() throws -> Bool {
    let names = try FileManager.default.contentsOfDirectory(atPath: lab.storeFolder)
    guard let name = names.first(where: { $0.hasPrefix("db01") }) else { return false }
    let standby = try Data(contentsOf: URL(fileURLWithPath: "\(lab.storeFolder)/\(name)/scsi0-0-flat.vmdk"))
    return try standby == disk.contents()
  }
}
