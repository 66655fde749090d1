import Foundation
import Glibc
import Testing

extension EndToEnd {
  /// Processes that are told to end or run out of memory, and disks of the source that change under the pass.
  @Suite(.needs("curl", "prlimit", "qemu-img", "mkfs.ext4"), .needsLoopMounts) struct ProcessFaultTests {
    @Test(
      "row 6: SIGTERM of the receiver in a pass: it ends within 5 s with 0, and the pass is resumed"
    )
    func terminated() throws {
      let site = try FaultSite()
      try site.begin()
      try site.vm.writeWholeVersion(2)
      let pass = try site.startPass { try !site.journals().isEmpty }
      let began = Date()
      let receiver = try #require(site.lab.receiver)
      receiver.signal(SIGTERM)
      #expect(try receiver.finish(seconds: 10).status == 0, "\(receiver.errors)")
      #expect(Date().timeIntervalSince(began) < 5)
      try site.lab.startReceiver()
      pass.signal(SIGCONT)
      let result = try pass.finish(seconds: 60)
      #expect(result.status == 0, "it goes on by itself: \(result.errors)")
      try site.expect(version: 2)
    }

    @Test("row 7: a receiver that gets no memory dies or refuses: one version, and with memory it goes on")
    func noMemory() throws {
      let site = try FaultSite()
      try site.begin()
      try site.lab.stopReceiver()
      try site.vm.writeWholeVersion(2)
      var (died, refused) = (0, 0)
      // From what does not even start to what is enough, in steps.
      for mebibytes in stride(from: 140, through: 420, by: 20) {
        do {
          try site.lab.startReceiver(limits: ["--as=\(mebibytes << 20)", "--core=0"], seconds: 5)
        } catch {
          // Also one that does not come up, as systemd ends it.
          try site.lab.stopReceiver(SIGKILL)
          died += 1
          continue
        }
        let pass = try site.lab.startPass()
        do {
          try eventually(seconds: 20, "the end of the pass or of the receiver") {
            !pass.process.isRunning || site.lab.receiver?.process.isRunning == false
          }
        } catch {
          try Self.killAsWatchdog(site.lab)
        }
        if pass.process.isRunning {
          died += 1
          pass.signal(SIGKILL)
        }
        let result = try pass.finish(seconds: 10)
        let acknowledged = result.status == 0
        if !acknowledged { refused += 1 }
        do { try site.lab.stopReceiver() } catch { try Self.killAsWatchdog(site.lab) }
        try site.lab.startReceiver()
        try eventually("recovery") { site.lab.receiver?.errors.contains(" recovered standbys=") == true }
        let standby = try site.vm.standby()
        #expect(
          standby.version == 2 || (standby.version == 1 && !acknowledged), "\(mebibytes) MiB: \(standby)")
        try site.lab.stopReceiver()
        if acknowledged { break }
      }
      print("memory limits: died \(died) times, refused \(refused) times")
      #expect(died + refused > 0, "the limit must be felt")
      try site.lab.startReceiver()
      try site.expectGoesOn(version: 2)
    }

    /// A receiver for whose runtime there is not one thread hears no signal; it does not tell systemd either
    /// that it is well, which kills it after `WatchdogSec`.
    private static func killAsWatchdog(_ lab: Lab) throws { try lab.stopReceiver(SIGKILL) }

    @Test(
      "row 27: a source disk that grows or shrinks under a pass: given up, and the next one goes on",
      arguments: ["grows", "shrinks"])
    func resized(what: String) throws {
      let site = try FaultSite()
      try site.begin()
      try site.vm.writeWholeVersion(2)
      let flat = site.vm.flat(0).path
      let pass = try site.startPass { try !site.journals().isEmpty }
      try Tool.must(["truncate", "-s", what == "grows" ? "+4096" : "-4096", flat])
      pass.signal(SIGCONT)
      try site.expectRed(pass.finish(seconds: 60), naming: ["web01-flat.vmdk"])
      try site.expect(version: 1)
      try Tool.must(["truncate", "-s", "\(3 << 20)", flat])
      try site.vm.writeVersion(2)
      try site.vm.writeVersion(3)
      try site.expectGoesOn(version: 3)
    }

    @Test("row 28: bytes that change while they are read are never committed as consistent")
    func changed() throws {
      let site = try FaultSite()
      try site.begin()
      try site.vm.writeWholeVersion(2)
      let pass = try site.startPass { try !site.journals().isEmpty }
      try site.vm.flat(0).write(pages: [0, 400, 767]) { page in
        [UInt8](repeating: UInt8(page & 0xFF), count: 4096)
      }
      pass.signal(SIGCONT)
      try site.expectRed(pass.finish(seconds: 60), naming: ["web01-flat.vmdk"])
      try site.expect(version: 1)
      try site.vm.writeVersion(3)
      try site.expectGoesOn(version: 3)
    }
  }
}
