import Glibc
import ReplIO
import ReplModel

/// What VMware leaves in a folder while it uses a VM: looked for before a standby is written or started.
///
/// * ESXi on NFS: `.lck-<file id>` beside the file, with the name of the host in it.
/// * ESXi, powered on: a swap file `*.vswp`.
/// * Workstation and Fusion: a folder `<file>.lck` with a member `M*.lck` for everyone who holds the file.
///
/// A lock that a crashed host left looks the same: the message names the file that must go.
struct StandbyHolders {
  let directory: any StorageDirectory
  /// Names of the descriptors, data files and the VMX.
  let fileNames: [String]

  /// QEMU locks these bytes of an image while it uses it (block/file-posix.c: RAW_LOCK_PERM_BASE,
  /// RAW_LOCK_SHARED_BASE).
  private static let lockedRanges = [
    ByteRange(offset: 100, length: 100), ByteRange(offset: 200, length: 100),
  ]

  /// Throws `.inUse` when a program holds a lock on an open file.
  static func checkUnlocked(_ file: any StorageFile) throws(StandbyError) {
    // Only files of the operating system can be locked; simulated ones are not.
    guard let posix = file as? PosixFile else { return }
    for range in lockedRanges where try storing({ () throws(IOError) in try posix.isLocked(range) }) {
      throw .inUse(path: file.path, holder: nil)
    }
  }

  /// Throws `.inUse` when there is one.
  func check() throws(StandbyError) {
    for name in try storing({ () throws(IOError) in try directory.entryNames() }) {
      if name.hasPrefix(".lck-") { throw .inUse(path: "\(directory.path)/\(name)", holder: holder(in: name)) }
      if name.hasSuffix(".vswp") {
        throw .inUse(path: "\(directory.path)/\(name)", holder: "the VM is powered on at an ESXi host")
      }
      if let file = fileNames.first(where: { name == "\($0).lck" }), let member = try member(of: name) {
        throw .inUse(path: "\(directory.path)/\(name)/\(member)", holder: "VMware holds \(file)")
      }
    }
  }

  private func member(of name: String) throws(StandbyError) -> String? {
    let members: [String]
    do throws(IOError) {
      members = try directory.openDirectory(name).entryNames()
    } catch {
      // Gone meanwhile; a plain file of that name is nobody's lock.
      if error.isMissing || error.systemCode == ENOTDIR { return nil }
      throw StandbyError(error)
    }
    return members.first { $0.hasPrefix("M") && $0.hasSuffix(".lck") }
  }

  /// The host that a lock file of ESXi names.
  private func holder(in name: String) -> String {
    // A lock file that cannot be read is a lock all the same.
    let bytes = (try? directory.openFile(name, .read)).map { Self.head(of: $0) } ?? []
    let words = bytes.split { !(0x21...0x7E).contains($0) }.map { String(decoding: $0, as: UTF8.self) }
    guard let host = words.first(where: { $0.utf8.count > 2 && $0.contains(where: \.isLetter) }) else {
      return "an ESXi host holds a file of it"
    }
    return "ESXi host \(SafeText.printable(host, limit: 64)) holds a file of it"
  }

  private static func head(of file: any StorageFile) -> [UInt8] {
    let count = Int(min(file.sizeBytes, Int64(Limits.lockFileBytes)))
    let buffer = AlignedBuffer(byteCount: count)
    // The same.
    guard count > 0, (try? file.read(into: buffer.bytes, at: 0)) != nil else { return [] }
    return Array(buffer.readable)
  }
}

extension Standby {
  /// Throws `.inUse` when VMware uses this standby.
  func checkNotHeld() throws(StandbyError) {
    try StandbyHolders(directory: home.directory, fileNames: catalog.heldFileNames).check()
  }
}

extension Catalog {
  /// Files that a hypervisor locks while it uses the VM.
  var heldFileNames: [String] {
    disks.flatMap { [$0.flatFileName, $0.descriptorFileName] } + ["\(slug).vmx"]
  }
}
