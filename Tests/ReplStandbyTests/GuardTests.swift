import Glibc
import ReplDigest
import ReplIO
import ReplModel
import ReplTestKit
import Testing

@testable import ReplStandby

/// What keeps replication from writing where somebody else's hand is, on a filesystem of this machine.
@Suite("Guards") final class GuardTests {
  private let path: String
  private let root: PosixDirectory
  private let first: Sender
  private let second: Sender

  init() throws {
    var template = Array("/tmp/vmrepl-guard-XXXXXX".utf8CString)
    path = template.withUnsafeMutableBufferPointer { String(cString: mkdtemp($0.baseAddress!)) }
    root = try PosixDirectory(path: path)
    first = try Sender(Bench.firstImage())
    second = try Sender(Bench.secondImage())
    _ = try StandbyStore.initialize(root: root.createDirectory("store"), time: ManualTime())
    _ = try root.createDirectory("state")
    try store().rememberKey(Bench.key)
    try first.replicate(1, to: try open())
  }

  deinit { ScratchFolder.remove(path) }

  private func store(files: any StandbyFilesMaking = PlainFiles()) throws -> StandbyStore {
    try StandbyStore(
      root: root.openDirectory("store"), state: root.openDirectory("state"), receiver: Bench.receiver,
      time: ManualTime(), files: files, freeSpaceFloorBytes: 0)
  }

  private func open() throws -> Standby { try Bench.standby(in: store()) }

  private func diskPath(_ index: Int) throws -> String {
    let name = try #require(try store().standbys().first).directory
    return "\(path)/store/\(name)/scsi0-\(index)-flat.vmdk"
  }

  /// Writes as `dd conv=notrunc` does: over another descriptor, without a sync.
  private func write(_ index: Int, page: Int, _ byte: UInt8) throws {
    let descriptor = Glibc.open(try diskPath(index), O_WRONLY)
    defer { close(descriptor) }
    var value = byte
    #expect(pwrite(descriptor, &value, 1, page * 4096 + 7) == 1)
  }

  private func adopt() throws -> VerifyOutcome {
    var request = VerifyRequest(.everything)
    (request.repairs, request.pauseSeconds) = (true, 0)
    return try #require(try store().adopt(vm: Bench.vm, request) { _ in true })
  }

  private func expectDiverged(_ standby: Standby, saying text: String) throws {
    let error = #expect(throws: StandbyError.self) { _ = try standby.beginPass(second.offer(9)) }
    guard case .diverged(_, _, let detail)? = error else { throw error ?? .storeMissing(path: "?") }
    #expect(detail.contains(text), "\(detail)")
    #expect(standby.catalog.divergence?.detail.contains(text) == true)
    #expect(error?.remedy == .stopVM && error?.description.contains("adopt VM --verify") == true)
  }

  @Test(
    "a disk that somebody wrote stops the VM before anything is written, and adopting keeps what is right")
  func written() throws {
    try write(0, page: 100, 0xEE)
    try expectDiverged(try open(), saying: "somebody else wrote it at")
    // Also after a restart, and whatever is done to the time of the file.
    #expect(throws: StandbyError.self) { _ = try open().beginPass(second.offer(2)) }

    let found = try Damage.verify(in: store())
    #expect(found.reports[0].differing == [100] && found.divergence != nil)
    let outcome = try adopt()
    #expect(outcome.wantedPages == 1 && outcome.divergence == nil)
    let sent = try first.replicate(2, to: try open())
    #expect(sent.data == [1, 0] && sent.zero == [0, 0])
    let standby = try open()
    #expect(standby.catalog.suspicion == nil && standby.catalog.divergence == nil)
    #expect(try isSame(Damage.bytes(standby, 0), first.image.disks[0]))
    _ = consume standby
    try second.replicate(3, to: try open())
    #expect(try isSame(Damage.bytes(try open(), 0), second.image.disks[0]))
  }

  @Test("a disk that somebody wrote after the commit is found before the undo file is captured")
  func writtenAfterCommit() throws {
    let pass = try open().beginPass(second.offer(2))
    let sent = try second.send(to: pass)
    try write(1, page: 3, 0x11)
    _ = try pass.commit(second.claims(sent))
    #expect(throws: StandbyError.self) { try pass.settle() }
    #expect(pass.standby.catalog.divergence != nil)
    let names = try pass.standby.home.points.entryNames().filter { $0.contains(".undo") }
    #expect(names.isEmpty, "nothing was captured")
  }

  @Test("a disk that was replaced by a copy of itself is diverged; a changed mode or owner is not")
  func replaced() throws {
    let disk = try diskPath(1)
    #expect(chmod(disk, 0o640) == 0)
    try second.replicate(2, to: try open())
    let bytes = try Damage.bytes(try open(), 1)
    #expect(rename(disk, "\(path)/old") == 0)
    let copy = try PosixDirectory(path: path).openFile("copy", .createNew)
    try bytes.withUnsafeBytes { try copy.write($0, at: 0) }
    try copy.sync()
    #expect(rename("\(path)/copy", disk) == 0)
    try expectDiverged(try open(), saying: "inode")
  }

  @Test("settling that was cut off behind the undo file is done again without an alarm")
  func settlingAgain() throws {
    struct Refusing: StandbyFilesMaking {
      func files(for request: StandbyFilesRequest) throws(StandbyError) -> [StandbyFile] {
        if request.point.reference.number == 2, !request.isStartable, Self.isOn.isSet {
          throw .filesRefused(detail: "on purpose")
        }
        return try PlainFiles().files(for: request)
      }
      static let isOn = Switch()
    }
    do {
      let standby = try Bench.standby(in: store(files: Refusing()))
      let pass = try standby.beginPass(second.offer(2))
      _ = try pass.commit(second.claims(try second.send(to: pass)))
      Refusing.isOn.set(true)
      #expect(throws: StandbyError.self) { try pass.settle() }
    }
    let again = try open()
    #expect(try again.recovery.get() == .settled(PointReference(epoch: Epoch(1), number: 2)))
    #expect(again.catalog.divergence == nil)
    #expect(try isSame(Damage.bytes(again, 0), second.image.disks[0]))
  }

  @Test("a disk of another size or one that is gone is diverged; adopting gives it its size and repairs it")
  func reshaped() throws {
    #expect(truncate(try diskPath(0), 512 << 10) == 0)
    #expect(unlink(try diskPath(1)) == 0)
    #expect(throws: StandbyError.self) { _ = try open().beginPass(first.offer(2)) }
    let outcome = try adopt()
    // What the disks held behind the cut: pages 200, 255 and 256 of one, eight pages of the other.
    #expect(outcome.reports.map(\.differingCount) == [3, 8])
    let sent = try first.replicate(2, to: try open())
    #expect(sent.data == [3, 8])
    let standby = try open()
    for index in 0...1 { #expect(try isSame(Damage.bytes(standby, index), first.image.disks[index])) }
    #expect(standby.catalog.suspicion == nil && standby.catalog.kept.allSatisfy { !$0.isDamaged })
  }

  @Test("a standby that VMware uses is not written, and the message names who holds it")
  func locks() throws {
    let folder = (try diskPath(0) as String).split(separator: "/").dropLast().joined(separator: "/")
    let home = try PosixDirectory(path: "/" + folder)
    let before = try Damage.bytes(try open(), 0)
    func expectInUse(_ text: String) throws {
      let error = #expect(throws: StandbyError.self) { _ = try open().beginPass(second.offer(2)) }
      guard case .inUse? = error else { throw error ?? .storeMissing(path: "?") }
      #expect(error?.description.contains(text) == true, "\(String(describing: error))")
      #expect(throws: StandbyError.self) { try open().checkStartable() }
    }
    try home.replaceFile(
      ".lck-3404000000000000", with: [0, 0, 1] + Array("esx-07.dr.example".utf8) + [0, 0])
    try expectInUse("esx-07.dr.example")
    try home.removeFile(".lck-3404000000000000")
    try home.replaceFile("web-01-1a2b3c4d.vswp", with: [0])
    try expectInUse("powered on")
    try home.removeFile("web-01-1a2b3c4d.vswp")
    for name in ["scsi0-0.vmdk", "scsi0-1-flat.vmdk", "web-01.vmx"] {
      let lock = try #require(try home.createDirectory("\(name).lck") as? PosixDirectory)
      try open().checkStartable()
      try lock.replaceFile("M12345.lck", with: [1])
      try expectInUse(name)
      try lock.removeFile("M12345.lck")
      try home.removeDirectory("\(name).lck")
    }
    #expect(try isSame(Damage.bytes(try open(), 0), before))
    try second.replicate(3, to: try open())
  }

  @Test(
    "what stands in the place of a data file is refused, and never made over",
    arguments: ["link", "fifo", "folder"])
  func otherKinds(kind: String) throws {
    let disk = try diskPath(0)
    #expect(rename(disk, "\(path)/aside") == 0)
    switch kind {
    case "link": #expect(symlink("\(path)/aside", disk) == 0)
    case "fifo": #expect(mkfifo(disk, 0o600) == 0)
    default: #expect(mkdir(disk, 0o700) == 0)
    }
    let error = #expect(throws: StandbyError.self) { _ = try open().beginPass(second.offer(2)) }
    #expect(error?.remedy == .stopVM, "\(String(describing: error))")
    #expect(throws: StandbyError.self) { try open().reseedAndOffer(second.offer(3)) }
    var status = stat()
    #expect(lstat(disk, &status) == 0)
    #expect(status.st_mode & S_IFMT != S_IFREG)
    var aside = stat()
    #expect(stat("\(path)/aside", &aside) == 0 && aside.st_size == Bench.grids[0].sizeBytes)
  }

  @Test("a first copy that was suspended is read again when somebody wrote the file meanwhile")
  func seedTouched() throws {
    let other = try Bench.machineFolder(beside: root)
    let store = try StandbyStore(
      root: other.openDirectory("store"), state: other.openDirectory("state"), receiver: Bench.receiver,
      time: ManualTime(), files: PlainFiles(), freeSpaceFloorBytes: 0)
    try store.rememberKey(Bench.key)
    do {
      let pass = try Bench.standby(in: store).beginPass(first.offer(1))
      try first.send(to: pass)
      try pass.suspend()
    }
    let name = try #require(try store.standbys().first).directory
    let descriptor = Glibc.open("\(other.path)/store/\(name)/scsi0-0-flat.vmdk", O_WRONLY)
    var value: UInt8 = 0x99
    #expect(pwrite(descriptor, &value, 1, 8 * 4096) == 1)
    close(descriptor)
    let sent = try first.replicate(2, to: Bench.standby(in: store))
    #expect(sent.data == [1, 0], "the page that somebody wrote is found and sent again")
  }
}

extension Standby {
  fileprivate func reseedAndOffer(_ offer: PassOffer) throws {
    try reseed()
    _ = try beginPass(offer)
  }
}

/// On or off, for a test's own files.
final class Switch: @unchecked Sendable {
  // SAFETY: set before it is read, by the one thread that runs the test.
  private(set) var isSet = false
  func set(_ value: Bool) { isSet = value }
}

enum ScratchFolder {
  /// A directory with everything in it.
  static func remove(_ path: String) {
    var status = stat()
    guard lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR, let stream = opendir(path) else {
      unlink(path)
      return
    }
    while let entry = readdir(stream) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if name != "." && name != ".." { remove("\(path)/\(name)") }
    }
    closedir(stream)
    rmdir(path)
  }
}

extension Bench {
  /// A store and a state directory of their own.
  fileprivate static func machineFolder(beside root: PosixDirectory) throws -> PosixDirectory {
    let folder = try #require(try root.createDirectory("other") as? PosixDirectory)
    _ = try StandbyStore.initialize(root: folder.createDirectory("store"), time: ManualTime())
    _ = try folder.createDirectory("state")
    return folder
  }
}
