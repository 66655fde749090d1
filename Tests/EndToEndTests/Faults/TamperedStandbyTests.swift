import Foundation
import Glibc
import ReplModel
import ReplService
import Testing

extension EndToEnd {
  /// Standby disks that somebody or something else wrote, behind the receiver's back.
  @Suite(.needs("qemu-img", "qemu-io", "mkfs.ext4"), .needsLoopMounts) struct TamperedStandbyTests {
    enum Change: String, CaseIterable {
      /// One bit, with the file's times as they were: the medium did it.
      case bitRot
      /// A page of another place, with the file's times as they were.
      case misdirectedWrite
      /// Through QEMU, as a guest would that was started there.
      case started
    }

    @Test(
      "rows 21 to 23: a standby disk that changed by itself is found, told, and never written over",
      arguments: Change.allCases)
    func changed(_ change: Change) throws {
      let site = try FaultSite()
      try site.begin()
      try site.vm.writeVersion(2)
      let flat = FlatDisk(path: "\(try site.lab.standbyFolder)/scsi0-0-flat.vmdk")
      let page = try site.vm.pageChanged(by: 2)
      try apply(change, page: page, flat)
      let tampered = try flat.copy()

      for restart in [false, true] {
        if restart {
          try site.lab.stopReceiver()
          try site.lab.startReceiver()
        }
        // The commit is taken before the disk is read; the disk is never brought to it.
        let result = try site.lab.startPass().finish(seconds: 60)
        try eventually("it is told") {
          try site.receiverStatus(named: "web01").state == .diverged
        }
        if restart { #expect(result.status != 0, "\(result.output)") }
        let status = try site.receiverStatus(named: "web01")
        let cause = status.lastFailure?.cause ?? ""
        #expect(cause.contains("page") || cause.contains("somebody else wrote it"), "\(status)")
        #expect(try flat.copy() == tampered, "nothing may be written over it")
      }
    }

    private func apply(_ change: Change, page: Int, _ flat: FlatDisk) throws {
      var before = stat()
      #expect(stat(flat.path, &before) == 0)
      let old = try flat.copy()
      let range = page * 4096..<(page + 1) * 4096
      switch change {
      case .bitRot:
        var bytes = Array(old[range])
        bytes[1000] ^= 0x10
        try flat.write(pages: [page]) { _ in bytes }
      case .misdirectedWrite:
        try flat.write(pages: [page]) { _ in Array(old[range].map { $0 ^ 0x55 }) }
      case .started:
        let command = "write -P 0x77 \(page * 4096) 4096"
        try Tool.must(["qemu-io", "-f", "raw", "-c", command, flat.path])
        return
      }
      var times = [before.st_atim, before.st_mtim]
      #expect(utimensat(AT_FDCWD, flat.path, &times, 0) == 0)
    }
  }
}
