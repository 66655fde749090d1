import Glibc
import ReplDigest
import ReplIO
import ReplModel
import ReplTestKit
import Testing

@testable import ReplStandby

/// The same on a file system of this machine.
@Suite("On a real file system") final class PosixStandbyTests {
  private let path: String
  private let root: PosixDirectory
  private let first: Sender
  private let second: Sender

  init() throws {
    var template = Array("/tmp/vmrepl-standby-XXXXXX".utf8CString)
    path = template.withUnsafeMutableBufferPointer { String(cString: mkdtemp($0.baseAddress!)) }
    root = try PosixDirectory(path: path)
    first = try Sender(Bench.firstImage())
    second = try Sender(Bench.secondImage())
    _ = try StandbyStore.initialize(root: root.createDirectory("store"), time: ManualTime())
    _ = try root.createDirectory("state")
    try store().rememberKey(Bench.key)
  }

  deinit { remove(path) }

  /// A directory with everything in it.
  private func remove(_ path: String) {
    if let stream = opendir(path) {
      while let entry = readdir(stream) {
        let name = withUnsafePointer(to: &entry.pointee.d_name) {
          $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
        }
        if name != "." && name != ".." { remove("\(path)/\(name)") }
      }
      closedir(stream)
      rmdir(path)
    } else {
      unlink(path)
    }
  }

  private func store() throws -> StandbyStore {
    try StandbyStore(
      root: root.openDirectory("store"), state: root.openDirectory("state"), receiver: Bench.receiver,
      time: ManualTime(), files: PlainFiles(), freeSpaceFloorBytes: 0)
  }

  private func flat(_ standby: Standby, _ index: Int) throws -> [UInt8] {
    try Bench.bytes(of: standby.home.directory.openFile("scsi0-\(index)-flat.vmdk", .read))
  }

  @Test("a first copy and a pass leave the disks as the source had them, sparse and private")
  func passes() throws {
    let standby = try Bench.standby(in: store())
    try first.replicate(1, to: standby)
    try second.replicate(2, to: standby)
    for index in 0...1 { #expect(try isSame(flat(standby, index), second.image.disks[index])) }
    #expect(try standby.verifyDisk(Bench.diskIDs[0]).isClean)
    var status = stat()
    #expect(stat("\(standby.path)/scsi0-0-flat.vmdk", &status) == 0)
    #expect(status.st_mode & 0o7777 == 0o600)
    #expect(Int64(status.st_blocks) * 512 < Bench.grids[0].sizeBytes / 4, "holes stay holes")
    #expect(
      try standby.home.directory.entryNames() == [
        ".repl", "scsi0-0-flat.vmdk", "scsi0-0.vmdk", "scsi0-1-flat.vmdk", "scsi0-1.vmdk", "web-01.nvram",
        "web-01.vmx",
      ])
  }

  @Test("a standby disk that became a link, has a second name, or is in use is not written")
  func guards() throws {
    let standby = try Bench.standby(in: store())
    try first.replicate(1, to: standby)
    let disk = "\(standby.path)/scsi0-0-flat.vmdk"

    #expect(link(disk, "\(path)/second-name") == 0)
    #expect(throws: StandbyError.self) { _ = try standby.beginPass(second.offer(2)) }
    #expect(unlink("\(path)/second-name") == 0)

    #expect(rename(disk, "\(path)/elsewhere") == 0)
    #expect(symlink("\(path)/elsewhere", disk) == 0)
    #expect(throws: StandbyError.self) { _ = try standby.beginPass(second.offer(2)) }
    #expect(unlink(disk) == 0 && rename("\(path)/elsewhere", disk) == 0)

    // As QEMU does it: a lock of the open file on byte 201.
    let descriptor = open(disk, O_RDWR)
    var lock = flock()
    (lock.l_type, lock.l_whence, lock.l_start, lock.l_len) = (Int16(F_WRLCK), Int16(SEEK_SET), 201, 1)
    #expect(fcntl(descriptor, 37 /* F_OFD_SETLK */, &lock) == 0)
    let error = #expect(throws: StandbyError.self) { _ = try standby.beginPass(second.offer(2)) }
    if case .inUse? = error {} else { Issue.record("\(String(describing: error))") }
    close(descriptor)
    #expect(try isSame(flat(standby, 0), first.image.disks[0]))
    try second.replicate(3, to: standby)
    #expect(try isSame(flat(standby, 0), second.image.disks[0]))
  }
}
