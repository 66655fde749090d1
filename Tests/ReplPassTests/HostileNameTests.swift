import Foundation
import ReplIO
import ReplModel
import ReplProtocol
import ReplStandby
import ReplTestKit
import Testing

@testable import ReplPass
@testable import ReplSource

/// Names of VMs that are meant to lead elsewhere (FAULTS.md 87): data only, never a path.
@Suite(.serialized) struct HostileNameTests {
  private static let names = [
    "../../etc/cron.d/x", "/etc/passwd", ".", "..", "...", " ", "a/b/c", "a\u{0}b", "line\nbreak",
    "\u{1B}[2J",
    "\u{202E}nimda", "CON", "con", "NUL.txt", ".repl", ".repl-store", "-rf", "web01", "WEB01", "Web01",
    "caf\u{E9}", "cafe\u{301}", "日本", String(repeating: "n", count: 255), String(repeating: "é", count: 127),
    "%2e%2e%2f", "$(reboot)", "`id`", "a b\tc", "x\\..\\y", "lost+found", "-",
  ]

  private func view(_ pair: Pair, _ name: String, number: Int) -> VMView {
    let plain = pair.view([MemoryDisk([UInt8](repeating: UInt8(number + 1), count: 8192))])
    return VMView(
      vm: VMID(high: 0xBAD, low: UInt64(number)), displayName: name, frozenAt: plain.frozenAt,
      label: plain.label, disks: plain.disks, vmx: plain.vmx, nvram: nil,
      stillness: Stillness(vmxPath: NSTemporaryDirectory() + "a.vmx", files: []))
  }

  private func isDerived(_ folder: String) -> Bool {
    let allowed = folder.utf8.allSatisfy { byte in
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"):
        true
      default: false
      }
    }
    let identity = folder.split(separator: "-").last ?? ""
    return allowed && !folder.hasPrefix(".") && !folder.hasPrefix("-") && folder.utf8.count <= 255
      && identity.count == 8 && identity.allSatisfy(\.isHexDigit)
  }

  @Test(
    "no VM's name becomes a path: each gets a folder of its own with a derived name, twins in case too"
  )
  func folders() throws {
    let pair = try Pair()
    defer { pair.end() }
    for (number, name) in Self.names.enumerated() { _ = try pair.pass(view(pair, name, number: number)) }
    let standbys = try pair.store().standbys()
    #expect(
      Set(standbys.compactMap { $0.catalog?.displayName }.map { Array($0.utf8) }).count == Self.names.count)
    for standby in standbys { #expect(isDerived(standby.directory), "\(standby.directory)") }
    // On a store that takes upper and lower case for the same, too.
    #expect(Set(standbys.map { $0.directory.lowercased() }).count == Self.names.count)
    // Nothing beside the store's own files and the standbys.
    let entries = Set(try pair.receiver.disk("store").entryNames())
    #expect(entries.filter { !$0.hasPrefix(".repl") } == Set(standbys.map(\.directory)))
    for standby in standbys {
      let home = try pair.receiver.disk("store").openDirectory(standby.directory)
      #expect(
        try Set(home.entryNames()).isSubset(of: ["scsi0-0-flat.vmdk", ".repl"]), "\(standby.directory)")
    }
    // Names go into the log and to terminals only as what can be printed.
    for name in Self.names {
      let text = SafeText.printable(name)
      #expect(text.unicodeScalars.allSatisfy { $0.value >= 0x20 && $0.value != 0x202E && $0.value != 0x1B })
    }
  }

  @Test("a name that is empty or has over 255 bytes makes no standby")
  func lengths() throws {
    let pair = try Pair()
    defer { pair.end() }
    for name in ["", String(repeating: "n", count: 256), String(repeating: "n", count: 4096)] {
      #expect(throws: PassError.self) { try pair.pass(view(pair, name, number: 1)) }
    }
    #expect(try pair.store().standbys().isEmpty)
    #expect(try pair.receiver.disk("store").entryNames().allSatisfy { $0.hasPrefix(".repl") })
  }
}
