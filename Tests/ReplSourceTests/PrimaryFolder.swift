import Glibc
import ReplIO
import Testing

@testable import ReplSource

/// A folder with a VM of flat disks, removed with the object.
final class PrimaryFolder: Sendable {
  let path: String
  var vmxPath: String { "\(path)/web.vmx" }
  static let uuid = "56 4d ef 2d 3f d4 14 e2-2e 04 c5 34 3a ec ee 65"

  init(disks: [String] = ["web"], extra: String = "", in parent: String = "/tmp") throws {
    var template = Array("\(parent)/replsource-XXXXXX\0".utf8CString)
    guard mkdtemp(&template) != nil else { throw IOError.current("make directory", path: parent) }
    path = String(decoding: template.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    var vmx = "displayName = \"web\"\nuuid.bios = \"\(Self.uuid)\"\nscsi0.present = \"TRUE\"\n"
    for (number, name) in disks.enumerated() {
      vmx += "scsi0:\(number).present = \"TRUE\"\nscsi0:\(number).fileName = \"\(name).vmdk\"\n"
      try write("\(name)-flat.vmdk", [UInt8](repeating: 7, count: 1 << 20))
      try write("\(name).vmdk", Array(Self.descriptor(flat: "\(name)-flat.vmdk").utf8))
    }
    try write("web.vmx", Array((vmx + extra).utf8))
  }

  deinit { Self.removeTree(path) }

  static func removeTree(_ path: String) {
    for name in (try? PosixDirectory(path: path).entryNames()) ?? [] {
      let child = "\(path)/\(name)"
      if unlink(child) != 0 { removeTree(child) }
    }
    rmdir(path)
  }

  static func descriptor(flat: String) -> String {
    """
    # Disk DescriptorFile
    version=1
    CID=fffffffe
    parentCID=ffffffff
    createType="monolithicFlat"
    RW 2048 FLAT "\(flat)" 0
    ddb.adapterType = "lsilogic"

    """
  }

  /// Replaces what the file holds; the file stays the same one.
  func write(_ name: String, _ bytes: [UInt8]) throws {
    let file = open("\(path)/\(name)", O_WRONLY | O_CREAT | O_TRUNC, 0o600)
    guard file >= 0 else { throw IOError.current("open", path: name) }
    defer { close(file) }
    try #require(bytes.withUnsafeBytes { Glibc.write(file, $0.baseAddress, $0.count) } == bytes.count)
  }

  func remove(_ name: String) throws { try #require(unlink("\(path)/\(name)") == 0) }

  /// Of the sender that freezes this VM.
  func freezer() throws -> ViewFreezer {
    try PosixDirectory(path: path).createDirectory("state").sync()
    return try ViewFreezer(directory: try PosixDirectory(path: "\(path)/state"))
  }

  func view(allowFuzzy: Bool = false) throws -> VMView {
    let freeze = FreezeSettings(allowFuzzy: allowFuzzy)
    return try freezer().take(ViewRequest(vmxPath: vmxPath, freeze: freeze))
  }
}
