import ReplIO
import ReplModel
import ReplVMDK

/// What shows that somebody runs a VM, or has one of its disks open (FORMATS A15).
///
/// `cleanShutdown = "FALSE"` in the VMX is none: it also says that a host crashed while the VM ran.
struct RunningEvidence {
  /// QEMU's permission locks: bytes 100-103 and 200-203 of an open image.
  private static let qemuLocks = ByteRange(offset: 100, length: 104)
  /// A member of a lock directory is one text of 512 bytes.
  private static let memberLimitBytes = 4096

  let folder: SourceFolder

  /// A sentence about the first thing found; nil when nothing shows that the VM runs.
  func find(disks: [VMDKImage]) throws(SourceError) -> String? {
    if let found = try inFolder() { return found }
    for image in disks {
      for file in image.files {
        do throws(IOError) {
          if try Self.isHeld(file.file) { return Self.held(file.relativePath) }
        } catch { throw .io(error) }
      }
      if image.isMarkedInUse, let name = image.files.first?.relativePath {
        return "\(SafeText.printable(name)) is marked as in use"
      }
    }
    return nil
  }

  /// A lock or swap file that only a running VM has.
  func inFolder() throws(SourceError) -> String? {
    do throws(IOError) {
      for name in try folder.directory.entryNames() {
        if name.hasPrefix(".lck-") || name.hasSuffix(".vswp") { return SafeText.printable(name) }
        guard name.hasSuffix(".lck"), let owner = try owner(ofLock: name) else { continue }
        return owner
      }
      return nil
    } catch { throw .io(error) }
  }

  static func isHeld(_ file: PosixFile) throws(IOError) -> Bool { try file.isLocked(qemuLocks) }

  static func held(_ name: String) -> String { "\(SafeText.printable(name)) is held open by QEMU" }

  /// VMware's hosted products lock a file `x` by a directory `x.lck` with a member `M12345.lck`, and `D12345`
  /// or `E12345` while they take the lock; ESXi makes a file. An empty directory is what is left of a lock.
  private func owner(ofLock name: String) throws(IOError) -> String? {
    let stem = name.dropLast(".lck".utf8.count).lowercased()
    guard [".vmx", ".vmdk", ".vmem"].contains(where: { stem.hasSuffix($0) }) else { return nil }
    let members: PosixDirectory
    do throws(IOError) {
      guard let directory = try folder.directory.openDirectory(name) as? PosixDirectory else { return nil }
      members = directory
    } catch {
      // Gone between listing and opening: unlocked. Anything but a directory is a lock file.
      return error.isMissing ? nil : SafeText.printable(name)
    }
    for member in try members.entryNames() {
      guard let kind = member.first, "MDE".contains(kind) else { continue }
      return "\(SafeText.printable(name))/\(SafeText.printable(member))\(describe(member, in: members))"
    }
    return nil
  }

  /// The member's text is `machine process-start(program) number kind ...`. Whether that process is gone can
  /// only be known on the machine that it names, and its name for itself cannot be derived here: the holder
  /// is shown, and the lock counts.
  private func describe(_ member: String, in directory: PosixDirectory) -> String {
    // What cannot be read is only missing from the sentence.
    guard let bytes = try? directory.readFile(member, limitBytes: Self.memberLimitBytes) else { return "" }
    let words = String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self).split(separator: " ")
    guard words.count >= 2 else { return "" }
    return ", held by process \(SafeText.printable(words[1], limit: 64)): remove it if that host crashed"
  }
}
