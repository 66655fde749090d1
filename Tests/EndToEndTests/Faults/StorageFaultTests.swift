import Foundation
import Glibc
import Testing

extension EndToEnd {
  /// Storage of the receiver that fills up, becomes read-only or goes away.
  @Suite(.needs("curl", "mkfs.ext4", "prlimit"), .needsLoopMounts) struct StorageFaultTests {
    @Test(
      "row 15: no space for a pass: refused before the standby is touched, and space is all it needs",
      arguments: [4_000, 6_000])
    func noSpaceInJournal(sizeKiB: Int) throws {
      let site = try FaultSite()
      try site.mountMemory(over: site.lab.storeFolder, sizeKiB: 60_000)
      try site.begin()
      try site.resizeMemory(at: site.lab.storeFolder, sizeKiB: sizeKiB)
      try site.vm.writeWholeVersion(2)
      for _ in 0..<2 {
        try site.expectRed(site.lab.startPass().finish(seconds: 60), naming: ["bytes", "free"])
        try site.expect(version: 1)
        try eventually("the journal's space is free again") { try site.journals().isEmpty }
      }
      try site.resizeMemory(at: site.lab.storeFolder, sizeKiB: 60_000)
      try site.expectGoesOn(version: 2)
    }

    @Test(
      "row 16: no space while a commit settles: told, the journal is kept, and space lets it go on by itself")
    func noSpaceWhileSettling() throws {
      let site = try FaultSite()
      try site.mountMemory(over: site.lab.storeFolder, sizeKiB: 24_000)
      try site.begin()
      try site.lab.stopReceiver()
      try site.vm.writeVersion(2)
      // Dies after the commit, with the first call on its undo file.
      let shim = try SyscallShim(report: site.folder + "/report")
      let points = "\(try site.lab.standbyFolder)/.repl/points"
      try site.lab.startReceiver(environment: shim.injecting(.killBefore, at: 1, beneath: [points]))
      let pass = try site.lab.startPass()
      try eventually("the end of the receiver") { site.lab.receiver?.process.isRunning == false }
      pass.signal(SIGKILL)
      try pass.finish(seconds: 10)
      let filler = try site.fill(site.lab.storeFolder)
      try site.lab.stopReceiver()

      try site.lab.startReceiver()
      try eventually("it is told") { site.lab.receiver?.errors.contains(" standby-not-recovered ") == true }
      #expect(site.lab.receiver?.errors.contains("no space left") == true)
      try site.expect(version: 1)
      #expect(try site.journals().count == 1, "the commit is in it")
      try site.expectRed(
        site.lab.startPass().finish(seconds: 60), naming: ["points", "no space left"], newest: 2)
      #expect(try site.journals().count == 1, "the commit is in it")
      try FileManager.default.removeItem(atPath: filler)
      try site.expectGoesOn(version: 2)
    }

    @Test(
      "row 17: no space for the receiver's state: the daemon lives and tells it, no commit is made up"
    )
    func noSpaceForState() throws {
      let site = try FaultSite()
      try site.mountMemory(over: site.stateFolder, sizeKiB: 4_000)
      try site.begin()
      try site.lab.stopReceiver()
      let port = try site.lab.servePages().receiver
      try site.lab.startReceiver()
      try eventually("its store is open") { site.lab.receiver?.errors.contains(" store-opened ") == true }
      let filler = try site.fill(site.stateFolder)
      try site.vm.writeVersion(2)
      let result = try site.lab.startPass().finish(seconds: 60)
      if result.status == 0 {
        try site.expect(version: 2)
      } else {
        try site.expectRed(result, naming: ["no space left"])
        try site.expect(version: 1)
      }
      #expect(site.lab.receiver?.errors.contains("no space left") == true)
      #expect(try site.page(port)?.newestPoint != nil)
      try Tool.must(["curl", "-sf", "http://127.0.0.1:\(port)/healthz"])
      try FileManager.default.removeItem(atPath: filler)
      try site.vm.writeVersion(3)
      try site.expectGoesOn(version: 3)
    }

    @Test(
      "row 18: a store that is read-only: told, no crash, and it goes on when it can be written again"
    )
    func readOnly() throws {
      let site = try FaultSite()
      try site.mountBind(over: site.lab.storeFolder)
      try site.begin()
      // The daemon opened the store before: the mount under its descriptor changes.
      try Tool.must(["mount", "-o", "remount,bind,ro", site.lab.storeFolder])
      try site.vm.writeVersion(2)
      for _ in 0..<2 {
        try site.expectRed(site.lab.startPass().finish(seconds: 60), naming: ["Read-only file system"])
        try site.expect(version: 1)
      }
      // Also when it starts like this.
      try site.lab.stopReceiver()
      try site.lab.startReceiver()
      try site.expectRed(site.lab.startPass().finish(seconds: 60), naming: ["Read-only file system"])
      #expect(site.lab.receiver?.process.isRunning == true)
      try Tool.must(["mount", "-o", "remount,bind,rw", site.lab.storeFolder])
      try site.expectGoesOn(version: 2)
    }

    @Test(
      "row 18: a store that becomes read-only in a pass: told, and the pass goes on after a remount"
    )
    func readOnlyMidPass() throws {
      let site = try FaultSite()
      let image = site.folder + "/image"
      try Tool.must(["truncate", "-s", "64M", image])
      try Tool.must(["mkfs.ext4", "-q", "-F", "-e", "remount-ro", image])
      let device = try Tool.must(["losetup", "-f", "--show", image]).trimmingCharacters(
        in: .whitespacesAndNewlines)
      defer { _ = try? Tool.run(["losetup", "-d", device]) }
      try Tool.must(["mount", device, site.lab.storeFolder])
      defer { umount2(site.lab.storeFolder, Int32(MNT_DETACH)) }
      try site.begin()
      try site.vm.writeWholeVersion(2)
      let pass = try site.startPass { try !site.journals().isEmpty }
      // As a damaged directory block does it.
      let name = (device as NSString).lastPathComponent
      try "test".write(toFile: "/sys/fs/ext4/\(name)/trigger_fs_error", atomically: false, encoding: .utf8)
      pass.signal(SIGCONT)
      // The journal of the filesystem is broken off: EIO or EROFS, as the call comes.
      try site.expectRed(pass.finish(seconds: 60), naming: [".repl/"])
      #expect(site.lab.receiver?.process.isRunning == true)
      try site.lab.stopReceiver()
      try eventually("it can be unmounted") { umount2(site.lab.storeFolder, 0) == 0 }
      // It reports with 1 that it mended something.
      _ = try Tool.run(["fsck.ext4", "-p", device])
      try Tool.must(["mount", device, site.lab.storeFolder])
      try site.lab.startReceiver()
      try site.expect(version: 1)
      try site.expectGoesOn(version: 2)
    }

    @Test(
      "row 19: a store that was unmounted under the receiver: nothing is ever made in the empty mount point")
    func unmounted() throws {
      let site = try FaultSite()
      let store = try ImageMount(sizeMiB: 32)
      let point = site.lab.storeFolder
      try Tool.must(["mount", "--bind", store.path, point])
      try site.begin()
      try site.vm.writeVersion(2)
      #expect(umount2(point, Int32(MNT_DETACH)) == 0)
      // It has the old filesystem open: told as committed is what is there, and only there.
      let result = try site.lab.startPass().finish(seconds: 60)
      #expect(
        try FileManager.default.contentsOfDirectory(atPath: point) == [], "nothing in the empty mount point")
      try site.lab.stopReceiver()

      // It starts, says what is missing, refuses every pass, and goes on without a restart.
      try site.lab.startReceiver()
      let said = site.lab.receiver?.errors ?? ""
      #expect(said.contains("store-not-opened") && said.contains(point), "\(said)")
      try site.expectRed(site.lab.startPass().finish(seconds: 60), naming: ["no store"])
      #expect(
        try FileManager.default.contentsOfDirectory(atPath: point) == [], "nothing in the empty mount point")

      try Tool.must(["mount", "--bind", store.path, point])
      defer { umount2(point, Int32(MNT_DETACH)) }
      try site.expect(version: result.status == 0 ? 2 : 1)
      try site.expectGoesOn(version: 2)
      try site.lab.stopReceiver()
    }

    @Test(
      "row 20: without descriptors the receiver waits without work, and goes on when they are back"
    )
    func noDescriptors() throws {
      let site = try FaultSite()
      try site.begin()
      try site.lab.stopReceiver()
      try site.lab.startReceiver(limits: ["--nofile=40"])
      try site.vm.writeVersion(2)
      let strangers = try (0..<60).map { _ in try Running(["nc", "-d", "127.0.0.1", "\(site.lab.port)"]) }
      let receiver = try #require(site.lab.receiver)
      let began = receiver.processorSeconds
      let pass = try site.lab.startPass()
      let result = try pass.finish(seconds: 60)
      #expect(receiver.process.isRunning)
      #expect(receiver.processorSeconds - began < 3, "it must not go round and round")
      for stranger in strangers { stranger.signal(SIGKILL) }
      if result.status == 0 {
        try site.expect(version: 2)
      } else {
        try site.expectRed(result, naming: [])
        try site.expect(version: 1)
      }
      try site.expectGoesOn(version: 2)
    }

    @Test(
      "row 24: a standby disk that is gone or replaced is refused, named, and never made anew or followed",
      arguments: ["nothing", "symbolic link", "second name", "pipe", "folder", "device"])
    func replaced(by what: String) throws {
      let site = try FaultSite()
      try site.begin()
      let disk = "\(try site.lab.standbyFolder)/scsi0-0-flat.vmdk"
      let away = site.lab.folder + "/away"
      let victim = site.lab.folder + "/victim"
      try Data(repeating: 7, count: 3 << 20).write(to: URL(fileURLWithPath: victim))
      try FileManager.default.moveItem(atPath: disk, toPath: away)
      switch what {
      case "symbolic link": #expect(symlink(victim, disk) == 0)
      case "second name": #expect(link(victim, disk) == 0)
      case "pipe": #expect(mkfifo(disk, 0o600) == 0)
      case "folder": #expect(mkdir(disk, 0o700) == 0)
      case "device": #expect(mknod(disk, S_IFCHR | 0o600, 0x103) == 0)
      default: break
      }
      try site.vm.writeVersion(2)
      for restart in [false, true] {
        if restart {
          try site.lab.stopReceiver()
          try site.lab.startReceiver()
        }
        try site.expectRed(site.lab.startPass().finish(seconds: 60), naming: ["scsi0-0-flat.vmdk"])
        var status = stat()
        #expect((lstat(disk, &status) == 0) == (what != "nothing"), "it must not be made anew")
        #expect(try Data(contentsOf: URL(fileURLWithPath: victim)).allSatisfy { $0 == 7 }, "never followed")
      }
      _ = try? FileManager.default.removeItem(atPath: disk)
      try FileManager.default.moveItem(atPath: away, toPath: disk)
      try site.expect(version: 1)
      try site.expectGoesOn(version: 2)
    }
  }
}
