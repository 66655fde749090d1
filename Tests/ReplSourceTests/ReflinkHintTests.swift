import Foundation
import ReplIO
import ReplModel
import ReplTestKit
import ReplVMDK
import Synchronization
import Testing

@testable import ReplSource

/// Kept clones on a real filesystem that shares blocks: what they prove, and that none stays for nothing.
@Suite("Hints from shared blocks") struct ReflinkHintTests {
  private static let receiver = ReceiverID(high: 1, low: 2)

  /// A VM with a flat and a sparse disk on xfs, and a sender that may be started again.
  private final class Scene: Sendable {
    let mount: LoopMount
    let folder: PrimaryFolder
    private let senders: Mutex<(shelf: HintShelf, freezer: ViewFreezer)>
    let events = Mutex<[FreezeEvent]>([])

    init(_ make: [String] = ["mkfs.xfs", "-q", "-m", "reflink=1"]) async throws {
      mount = try await LoopMount(make)
      folder = try PrimaryFolder(
        extra: "scsi0:1.present = \"TRUE\"\nscsi0:1.fileName = \"data.vmdk\"\n", in: mount.path)
      try await SystemTool.run(
        "qemu-img", "create", "-q", "-f", "vmdk", "-o", "subformat=monolithicSparse",
        "\(folder.path)/data.vmdk",
        "4M")
      senders = Mutex(try Self.sender(folder))
    }

    private static func sender(_ folder: PrimaryFolder) throws -> (HintShelf, ViewFreezer) {
      try PosixDirectory(path: folder.path).createDirectory("state").sync()
      let state = try PosixDirectory(path: "\(folder.path)/state")
      let shelf = try HintShelf(state: state)
      return (shelf, try ViewFreezer(directory: try state.createDirectory("freezes"), hints: shelf))
    }

    func restart() throws {
      let fresh = try Self.sender(folder)
      senders.withLock { $0 = fresh }
    }

    var shelf: HintShelf { senders.withLock { $0.shelf } }
    var freezer: ViewFreezer { senders.withLock { $0.freezer } }

    func request(_ hints: HintSettings.Provider = .reflink) -> ViewRequest {
      ViewRequest(
        vmxPath: folder.vmxPath, freeze: FreezeSettings(provider: .reflink),
        hints: HintSettings(provider: hints))
    }

    var tagged: [String] {
      ((try? PosixDirectory(path: folder.path).entryNames()) ?? []).filter { $0.hasPrefix(".vmrepl-") }
    }

    func take() throws -> (VMView, ViewHints) {
      let view = try freezer.take(request())
      let hints = ViewHints(
        of: view, request: request(), freezer: freezer, shelf: shelf,
        report: { [self] event in
          events.withLock { $0.append(event) }
        })
      return (view, hints)
    }

    func asked(_ view: VMView) -> [ViewHints.Asked] {
      view.disks.map { disk in
        ViewHints.Asked(
          disk: disk, grid: PageGrid(sizeBytes: disk.image.sizeBytes, pageSizeBytes: 4096)!, isBaseMap: true)
      }
    }

    func point(_ number: UInt64, _ view: VMView) -> RecoveryPoint {
      let disks = asked(view).map { asked in
        DiskPoint(
          disk: asked.disk.id, slot: asked.disk.slot, grid: asked.grid, keyID: KeyID(high: 0, low: 1),
          root: .zero)
      }
      return RecoveryPoint(
        receiver: ReflinkHintTests.receiver, vm: view.vm,
        reference: PointReference(epoch: Epoch(1), number: number), pass: PassID(high: 0, low: number),
        frozenAt: view.frozenAt, committedAt: view.frozenAt, label: view.label, disks: disks)
    }

    func base(_ number: UInt64) -> ViewHints.Base {
      ViewHints.Base(
        receiver: ReflinkHintTests.receiver, reference: PointReference(epoch: Epoch(1), number: number),
        pass: PassID(high: 0, low: number))
    }

    /// A pass that commits point `number`.
    func pass(_ number: UInt64) throws -> [ChangeHint?] {
      let (view, hints) = try take()
      hints.prepare(pageSizeBytes: 4096)
      let found = hints.hints(for: asked(view), base: number == 1 ? nil : base(number - 1))
      hints.committed(point(number, view))
      _ = try view.release()
      return found
    }
  }

  private static func content(_ disk: ViewDisk) throws -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: Int(disk.image.sizeBytes))
    try bytes.withUnsafeMutableBytes { try disk.image.read(into: $0, at: 0) }
    return bytes
  }

  @Test(
    "every byte that differs lies in a range of the hint, on flat and on sparse disks, and one set stays",
    .needsMount("mkfs.xfs", "mkfs.btrfs", "qemu-img", "qemu-io"),
    arguments: [["mkfs.xfs", "-q", "-m", "reflink=1"], ["mkfs.btrfs", "-q"]])
  func sound(_ make: [String]) async throws {
    let scene = try await Scene(make)
    let seed = UInt64.random(in: 0...UInt64.max)
    print("shared blocks seed: \(seed)")
    var random = SeededRandom(seed: seed)
    usleep(30_000)
    let hints = try scene.pass(1)
    #expect(hints.allSatisfy { $0 == nil } && scene.tagged.count == 1)
    var before: [[UInt8]] = try Self.contentNow(scene)
    for number in UInt64(2)...5 {
      try await change(scene, &random, round: Int(number))
      usleep(30_000)
      let found = try scene.pass(number)
      let after = try Self.contentNow(scene)
      #expect(scene.tagged.count == 1, "seed \(seed)")
      for (index, hint) in found.enumerated() {
        let hint = try #require(hint, "\(scene.events.withLock { $0 })")
        let (old, new) = (before[index], after[index])
        for page in 0..<(new.count / 4096) {
          let bytes = (page * 4096)..<((page + 1) * 4096)
          guard old[bytes] != new[bytes] else { continue }
          let range = ByteRange(offset: Int64(bytes.lowerBound), length: 4096)
          #expect(hint.changed.touches(range), "disk \(index), page \(page), pass \(number), seed \(seed)")
        }
        // Blocks of the filesystem, grains that were moved: never all of it.
        #expect(hint.changed.byteCount <= Int64(new.count) / 2, "disk \(index), pass \(number), seed \(seed)")
      }
      before = after
    }
  }

  /// Through a view of its own, which leaves nothing.
  private static func contentNow(_ scene: Scene) throws -> [[UInt8]] {
    let view = try scene.freezer.take(scene.request())
    defer { _ = try? view.release() }
    return try view.disks.map(content)
  }

  private func change(_ scene: Scene, _ random: inout SeededRandom, round: Int) async throws {
    let flat = open("\(scene.folder.path)/web-flat.vmdk", O_WRONLY)
    defer { close(flat) }
    for _ in 0..<3 {
      let bytes = PageMaker.random(byteCount: 5000, seed: random.next())
      let offset = Int.random(in: 0..<(1 << 20) - 5000, using: &random)
      try #require(pwrite(flat, bytes, bytes.count, offset) == bytes.count)
    }
    var commands: [String] = []
    for _ in 0..<3 {
      let offset = Int.random(in: 0..<63, using: &random) << 16
      commands += ["-c", "write -P \(round) \(offset + 4096) 4k"]
    }
    try await SystemTool.run(["qemu-io", "-f", "vmdk"] + commands + ["\(scene.folder.path)/data.vmdk"])
  }

  @Test(
    "kept clones stay as long as the record names them and the VM is to have such hints",
    .needsMount("mkfs.xfs", "qemu-img"))
  func janitor() async throws {
    let scene = try await Scene()
    usleep(30_000)
    _ = try scene.pass(1)
    let kept = scene.tagged
    #expect(kept.count == 1)
    try scene.restart()
    #expect(scene.freezer.clean([scene.request()]).isEmpty && scene.tagged == kept)
    scene.freezer.cleanKept([scene.request()])
    #expect(scene.tagged == kept)
    // A pass that fails leaves them, and nothing of its own.
    let (view, _) = try scene.take()
    #expect(scene.tagged.count == 2)
    _ = try view.release()
    #expect(scene.tagged == kept)
    // Hints that are switched off, or come from elsewhere.
    _ = scene.freezer.clean([scene.request(.none)])
    #expect(scene.tagged == [])
  }

  @Test(
    "clones that no record names, of a VM that left or of a pass that was killed, are removed",
    .needsMount("mkfs.xfs", "qemu-img"), arguments: 0...3)
  func unwanted(_ what: Int) async throws {
    let scene = try await Scene()
    usleep(30_000)
    _ = try scene.pass(1)
    let kept = scene.tagged
    switch what {
    case 0:
      // Killed after the clones were marked and before the record was written.
      let (view, _) = try scene.take()
      #expect(try view.held?.keepClones() != nil)
    case 1: scene.freezer.cleanKept([])
    case 2:
      let vm = try ViewIdentity.read(vmxPath: scene.folder.vmxPath).vm
      try scene.shelf.removeRecord(of: vm)
    default:
      try scene.folder.write(
        "web.vmx", Array("uuid.bios = \"00 \(PrimaryFolder.uuid.dropFirst(3))\"\n".utf8))
    }
    try scene.restart()
    _ = scene.freezer.clean([scene.request()])
    #expect(scene.tagged == (what == 0 ? kept : []))
  }

  @Test("clones are not kept where the filesystem is nearly full", .needsMount("mkfs.xfs", "qemu-img"))
  func nearlyFull() async throws {
    #expect(ViewClones.leaveRoom(freeBytes: 100, allocatedBytes: 1000))
    #expect(!ViewClones.leaveRoom(freeBytes: 99, allocatedBytes: 1000))
    let scene = try await Scene()
    let size = 64 << 20
    try scene.folder.write("web-flat.vmdk", [UInt8](repeating: 7, count: size))
    let descriptor = PrimaryFolder.descriptor(flat: "web-flat.vmdk")
      .replacingOccurrences(of: "RW 2048", with: "RW \(size / 512)")
    try scene.folder.write("web.vmdk", Array(descriptor.utf8))
    try PosixDirectory(path: scene.folder.path).openPosixFile("web-flat.vmdk", .read).sync()
    let free = try PosixDirectory(path: scene.folder.path).freeBytes()
    try await SystemTool.run("fallocate", "-l", "\(free - (4 << 20))", "\(scene.mount.path)/filler")
    usleep(30_000)
    _ = try scene.pass(1)
    #expect(scene.tagged == [] && scene.events.withLock { $0.contains { $0.text.contains("are free") } })
  }

  @Test(
    "without the clones of the last pass, or with others in their place, everything is read",
    .needsMount("mkfs.xfs", "qemu-img"))
  func lostClones() async throws {
    let scene = try await Scene()
    usleep(30_000)
    _ = try scene.pass(1)
    PrimaryFolder.removeTree("\(scene.folder.path)/\(scene.tagged[0])")
    let (view, hints) = try scene.take()
    hints.prepare(pageSizeBytes: 4096)
    #expect(hints.hints(for: scene.asked(view), base: scene.base(1)).allSatisfy { $0 == nil })
    #expect(hints.outcomes.allSatisfy { $0.refusal?.contains("clones of the last pass") == true })
    _ = try view.release()
  }
}
