import ReplIO
import ReplModel
import ReplVMDK

/// What the files of a VM looked like when a view was taken, and whether they still do.
struct Stillness: Sendable {
  struct File: Sendable {
    /// Beneath the VM's folder.
    let name: String
    let status: FileStatus
  }

  /// QEMU's permission locks: bytes 100-103 and 200-203 of an open image.
  private static let qemuLocks = ByteRange(offset: 100, length: 104)

  let vmxPath: String
  let files: [File]

  /// Also answers what shows that somebody has a disk open, when anything does.
  static func take(
    of disks: [SourceFolder.OpenDisk], vmxPath: String
  ) throws(SourceError) -> (stillness: Stillness, evidence: String?) {
    var files: [File] = []
    var evidence: String?
    for disk in disks {
      for file in disk.files {
        do throws(IOError) {
          files.append(File(name: file.relativePath, status: try file.file.status()))
          if try file.file.isLocked(qemuLocks) { evidence = evidence ?? held(file.relativePath) }
        } catch { throw .io(error) }
      }
      if disk.isMarkedInUse, let name = disk.files.first?.relativePath {
        evidence = evidence ?? "\(SafeText.printable(name)) is marked as in use"
      }
    }
    return (Stillness(vmxPath: vmxPath, files: files), evidence)
  }

  /// Looks everything up again by name: what a network file system says of a file that was opened long ago
  /// may come from a cache.
  func check() throws(SourceError) {
    let folder: SourceFolder
    do throws(SourceError) { folder = try SourceFolder(vmxPath: vmxPath) } catch {
      if case .io(let cause) = error, cause.isMissing {
        throw .changed(path: vmxPath, what: "its folder was removed")
      }
      throw error
    }
    if let evidence = try folder.runningEvidence() {
      throw .changed(path: vmxPath, what: "the VM was started (\(evidence))")
    }
    for file in files { try check(file, in: folder) }
  }

  private func check(_ file: File, in folder: SourceFolder) throws(SourceError) {
    let path = "\(folder.directory.path)/\(file.name)"
    let now: FileStatus
    let isHeld: Bool
    do throws(IOError) {
      let opened = try folder.directory.openPosixFile(file.name, .read)
      now = try opened.status()
      isHeld = try opened.isLocked(Self.qemuLocks)
    } catch {
      if error.isMissing { throw .changed(path: path, what: "it was removed") }
      throw .io(error)
    }
    if isHeld { throw .changed(path: vmxPath, what: "the VM was started (\(Self.held(file.name)))") }
    let then = file.status
    guard now.device == then.device, now.inode == then.inode else {
      throw .changed(path: path, what: "another file was put in its place")
    }
    guard now.sizeBytes == then.sizeBytes else {
      throw .changed(path: path, what: "its size went from \(then.sizeBytes) to \(now.sizeBytes) bytes")
    }
    // The change time too: a program may put the modification time back, as copying tools do.
    guard
      now.modifiedNanoseconds == then.modifiedNanoseconds,
      now.changedNanoseconds == then.changedNanoseconds
    else { throw .changed(path: path, what: "it was written to") }
  }

  private static func held(_ name: String) -> String {
    "\(SafeText.printable(name)) is held open by QEMU"
  }
}
