import Foundation
import Glibc
import ReplIO
import ReplModel
import ReplVMDK
import Synchronization
import Testing

@testable import ReplSource

/// A filesystem of its own on a loop device, unmounted with the object.
final class LoopMount: Sendable {
  let path: String
  private let image: String

  init(_ make: [String]) async throws {
    let name = "/tmp/replsource-\(UInt32.random(in: 0 ... .max))"
    (path, image) = ("\(name).mount", "\(name).image")
    try await SystemTool.run("truncate", "-s", "400M", image)
    try await SystemTool.run(make + [image])
    try await SystemTool.run("mkdir", path)
    try await SystemTool.run("mount", "-o", "loop", image, path)
  }

  /// What was not synced is lost; the filesystem is as a machine finds it that lost its power.
  func cutPower() async throws {
    try await SystemTool.run("xfs_io", "-x", "-c", "shutdown", path)
    try await SystemTool.run("umount", path)
    try await SystemTool.run("mount", "-o", "loop", image, path)
  }

  deinit {
    umount2(path, 2 /* MNT_DETACH */)
    rmdir(path)
    unlink(image)
  }
}

@Suite("The provider reflink") struct ReflinkTests {
  private let reflink = FreezeSettings(provider: .reflink)

  private func lab(_ mount: LoopMount, extra: String = "") throws -> FreezeLab {
    try FreezeLab(PrimaryFolder(disks: ["web", "data"], extra: extra, in: mount.path))
  }

  @Test(
    "clones of all files are read while the VM writes on, and nothing of them stays",
    .needsMount("mkfs.xfs"))
  func clones() async throws {
    let mount = try await LoopMount(["mkfs.xfs", "-q", "-m", "reflink=1"])
    let lab = try lab(mount)
    // A swap file: the VM runs.
    try lab.folder.write("web-1.vswp", [])
    usleep(30_000)
    let view = try await lab.take(reflink)
    #expect(view.label == .crashConsistent && view.disks.count == 2)
    let directory = ".\(try lab.tag())"
    #expect(lab.tagged == [directory])
    let clones = try PosixDirectory(path: "\(lab.folder.path)/\(directory)")
    #expect(try clones.entryNames().count == 4)
    #expect(try clones.status().permissions == 0o700)
    for name in try clones.entryNames() {
      #expect(try clones.openPosixFile(name, .read).status().permissions == 0o600)
    }
    for name in ["web", "data"] {
      try lab.folder.write("\(name)-flat.vmdk", [UInt8](repeating: 9, count: 1 << 20))
    }
    for disk in 0...1 { #expect(try firstBytes(of: view, disk: disk).allSatisfy { $0 == 7 }) }
    try view.checkUnchanged()
    let hold = try await lab.release(view)
    #expect(hold.guestHeldSeconds == nil && lab.tagged == [] && lab.ledger == [])
  }

  @Test(
    "two disks written to at once are refused with the way out, or fuzzy where that is allowed",
    .needsMount("mkfs.xfs"))
  func busy() async throws {
    let mount = try await LoopMount(["mkfs.xfs", "-q", "-m", "reflink=1"])
    let lab = try lab(mount)
    let writing = Atomic<Bool>(true)
    let writer = NamedThread.start("writer") { [folder = lab.folder] in
      while writing.load(ordering: .relaxed) {
        for name in ["web", "data"] {
          let file = open("\(folder.path)/\(name)-flat.vmdk", O_WRONLY)
          _ = Glibc.write(file, "x", 1)
          close(file)
        }
        usleep(500)
      }
    }
    defer {
      writing.store(false, ordering: .relaxed)
      writer.join()
    }
    let error = try #require(try await outcome(lab, reflink).refusal)
    #expect("\(error)".contains("pre_freeze") && "\(error)".contains("web-flat.vmdk"), "\(error)")
    #expect(error.remedy == .abandonPass && lab.tagged == [] && lab.ledger == [])
    var fuzzy = reflink
    fuzzy.allowFuzzy = true
    #expect(try await outcome(lab, fuzzy).label == .fuzzy)
    #expect(lab.tagged == [])
  }

  /// What comes of disks that are written to. On a busy machine the writer may rest for longer than a tick,
  /// and then a view is one instant, rightly: it is taken again.
  private func outcome(
    _ lab: FreezeLab, _ freeze: FreezeSettings
  ) async throws -> (refusal: SourceError?, label: PointLabel?) {
    for _ in 0..<100 {
      do {
        let view = try await lab.take(freeze)
        _ = try await lab.release(view)
        if view.label == .fuzzy { return (nil, view.label) }
      } catch let error as SourceError {
        return (error, nil)
      }
    }
    return (nil, nil)
  }

  @Test("one disk that is written to all the time is still one instant", .needsMount("mkfs.xfs"))
  func oneBusyDisk() async throws {
    let mount = try await LoopMount(["mkfs.xfs", "-q", "-m", "reflink=1"])
    let lab = try lab(mount)
    usleep(30_000)
    let writing = Atomic<Bool>(true)
    let writer = NamedThread.start("writer") { [folder = lab.folder] in
      let file = open("\(folder.path)/web-flat.vmdk", O_WRONLY)
      while writing.load(ordering: .relaxed) {
        _ = Glibc.pwrite(file, "x", 1, 100)
        usleep(200)
      }
      close(file)
    }
    let view = try await lab.take(reflink)
    writing.store(false, ordering: .relaxed)
    writer.join()
    #expect(view.label == .crashConsistent)
    _ = try await lab.release(view)
  }

  @Test(
    "a guest that the hook has just brought to rest is quiesced, by a second attempt if need be",
    .needsMount("mkfs.xfs"))
  func quiesced() async throws {
    let mount = try await LoopMount(["mkfs.xfs", "-q", "-m", "reflink=1"])
    let lab = try lab(mount)
    let flush = "for d in web data; do printf y | dd of=\"$3/$d-flat.vmdk\" conv=notrunc 2>/dev/null; done"
    let view = try await lab.take(
      FreezeSettings(
        provider: .reflink, quiesced: true, preFreeze: try lab.command(flush),
        postThaw: try lab.command("ls -A \"$3\" | grep -c '^.vmrepl' ")))
    #expect(view.label == .quiesced && lab.log == ["pre-freeze", "post-thaw"])
    for disk in 0...1 { #expect(try firstBytes(of: view, disk: disk)[0] == UInt8(ascii: "y")) }
    #expect(lab.events.withLock { $0 }.contains { $0.stage == .postThaw && $0.text.contains("said: 1") })
    _ = try await lab.release(view)
    #expect(lab.tagged == [])
  }

  @Test(
    "after a crash the janitor removes the clones, and leaves a foreign file and its directory",
    .needsMount("mkfs.xfs"))
  func janitor() async throws {
    let mount = try await LoopMount(["mkfs.xfs", "-q", "-m", "reflink=1"])
    let lab = try lab(mount)
    usleep(30_000)
    var view: VMView? = try await lab.take(reflink)
    let directory = ".\(try lab.tag())"
    view = nil
    #expect(view == nil && lab.tagged == [directory])
    try lab.folder.write("\(directory)/photo.jpg", [1, 2, 3])
    let reports = try await lab.clean(reflink)
    #expect(reports.contains { !$0.isRemoved && $0.text.contains("photo.jpg") })
    let left = try PosixDirectory(path: "\(lab.folder.path)/\(directory)").entryNames()
    #expect(left == ["photo.jpg"] && lab.ledger == [])
    // It does not keep the VM from being frozen.
    _ = try await lab.release(try await lab.take(reflink))
    #expect(lab.tagged == [directory])
  }

  @Test(
    "the clones of a VM whose folder was renamed are removed before its next freeze", .needsMount("mkfs.xfs"))
  func moved() async throws {
    let mount = try await LoopMount(["mkfs.xfs", "-q", "-m", "reflink=1"])
    let state = try PrimaryFolder()
    let lab = try lab(mount)
    usleep(30_000)
    let freezer = try state.freezer()
    var request = lab.request(reflink)
    let first = request
    let view = try await NamedThread.run("freeze") { try freezer.take(first) }
    let moved = "\(lab.folder.path)-moved"
    try #require(rename(lab.folder.path, moved) == 0)
    defer { PrimaryFolder.removeTree(moved) }
    await #expect(throws: SourceError.self) { try await NamedThread.run("release") { try view.release() } }
    request.vmxPath = "\(moved)/web.vmx"
    let second = request
    let next = try await NamedThread.run("freeze") { try freezer.take(second) }
    #expect(try freezer.ledger.tags().count == 1)
    _ = try await NamedThread.run("release") { try next.release() }
    let names = try PosixDirectory(path: moved).entryNames()
    #expect(try freezer.ledger.tags() == [] && !names.contains { $0.contains("vmrepl-") }, "\(names)")
  }

  @Test("the clones of a folder that is not mounted are kept in the ledger", .needsMount("mkfs.xfs"))
  func unmounted() async throws {
    let mount = try await LoopMount(["mkfs.xfs", "-q", "-m", "reflink=1"])
    let state = try PrimaryFolder()
    let lab = try lab(mount)
    usleep(30_000)
    let freezer = try state.freezer()
    let request = lab.request(reflink)
    let tag = try await NamedThread.run("freeze") { () -> String in
      // Dropped at once, as by a crash.
      _ = try freezer.take(request)
      return try freezer.ledger.tags().map(\.description).joined()
    }
    try #require(rename(lab.folder.path, "\(lab.folder.path)-away") == 0)
    defer { PrimaryFolder.removeTree("\(lab.folder.path)-away") }
    var reports = try await NamedThread.run("clean") { freezer.clean([]) }
    #expect(reports.map(\.isRemoved) == [false] && reports.first?.text.contains("mount it") == true)
    #expect(try freezer.ledger.tags().map(\.description) == [tag])
    try #require(rename("\(lab.folder.path)-away", lab.folder.path) == 0)
    reports = try await NamedThread.run("clean") { freezer.clean([]) }
    #expect(reports.map(\.isRemoved) == [true] && lab.tagged == [])
  }

  @Test(
    "a power cut after the release does not bring the clones back, which no record names any more",
    .needsMount("mkfs.xfs", "xfs_io"))
  func powerCut() async throws {
    let mount = try await LoopMount(["mkfs.xfs", "-q", "-m", "reflink=1"])
    let (state, folder) = (try PrimaryFolder(), try PrimaryFolder(in: mount.path))
    usleep(30_000)
    let freezer = try state.freezer()
    let request = ViewRequest(vmxPath: folder.vmxPath, freeze: reflink)
    var view: VMView? = try await NamedThread.run("freeze") { try freezer.take(request) }
    let clones = ".\(try #require(try freezer.ledger.tags().first))"
    #expect(try PosixDirectory(path: folder.path).entryNames().contains(clones))
    // As the kernel does by itself sooner or later.
    try await SystemTool.run("sync", "-f", mount.path)
    _ = try view?.release()
    // Its files are on what is unmounted now.
    view = nil
    try await mount.cutPower()
    let left = try PosixDirectory(path: folder.path).entryNames()
    #expect(try freezer.ledger.tags() == [] && !left.contains { $0.contains("vmrepl") }, "\(left)")
  }

  @Test("clones that no record names are found in the folders of all disks", .needsMount("mkfs.xfs"))
  func undeclared() async throws {
    let mount = try await LoopMount(["mkfs.xfs", "-q", "-m", "reflink=1"])
    let elsewhere = try PrimaryFolder(disks: ["far"], in: mount.path)
    let lab = try lab(
      mount, extra: "scsi0:7.present = \"TRUE\"\nscsi0:7.fileName = \"/vmfs/volumes/ds/far.vmdk\"\n")
    let tag = FreezeTag(installation: lab.freezer.ledger.installation)
    for folder in [lab.folder, elsewhere] {
      try #require(mkdir("\(folder.path)/\(tag.directoryName)", 0o700) == 0)
      try folder.write("\(tag.directoryName)/\(tag.cloneName(0))", [1])
    }
    var request = lab.request(reflink)
    request.opening = DiskOpening(
      mappings: [PathMapping(prefix: "/vmfs/volumes/ds", directory: elsewhere.path)])
    #expect(try await lab.clean([request, request]).map(\.isRemoved) == [true, true])
    let left = try PosixDirectory(path: elsewhere.path).entryNames()
    #expect(lab.tagged == [] && !left.contains(tag.directoryName), "\(left)")
  }

  @Test("a filesystem that shares no blocks is named, with what to do")
  func noSharing() async throws {
    let lab = try FreezeLab()
    let name = try PosixDirectory(path: lab.folder.path).filesystemName()
    try #require(name != "xfs" && name != "btrfs", "the test's folder lies on \(name)")
    let error = try await lab.refusal(reflink)
    #expect("\(error)".contains(name) && "\(error)".contains(lab.folder.path), "\(error)")
    #expect("\(error)".contains("vmware-snapshot") && error.remedy == .stopVM)
    #expect(lab.tagged == [] && lab.ledger == [])
  }

  @Test("xfs without reflink is refused when the first file is cloned", .needsMount("mkfs.xfs"))
  func oldFilesystem() async throws {
    let mount = try await LoopMount(["mkfs.xfs", "-q", "-m", "reflink=0"])
    let lab = try lab(mount)
    let error = try await lab.refusal(reflink)
    #expect("\(error)".contains("reflink=1") && error.remedy == .stopVM, "\(error)")
    #expect(lab.tagged == [] && lab.ledger == [])
  }
}
