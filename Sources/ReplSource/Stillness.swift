import ReplIO
import ReplModel
import ReplVMDK
import ReplVMX

/// What the files of a view looked like when it was taken, and whether they still do.
struct Stillness: Sendable {
  /// A disk whose chain is opened anew to compare the content identities of its links.
  struct Chain: Sendable {
    let name: String
    let slot: DiskSlot
    let contentIDs: [UInt32]
  }

  let vmxPath: String
  let files: [VMDKFile]
  /// Whether a VM that was started meanwhile is a change: not where something else keeps the files still.
  let watchesLocks: Bool
  var chains: [Chain] = []
  var opening = DiskOpening()

  init(vmxPath: String, files: [VMDKFile], watchesLocks: Bool = true) {
    self.vmxPath = vmxPath
    self.files = files
    self.watchesLocks = watchesLocks
  }

  /// As the files were when the disks were opened.
  init(of disks: SourceFolder.OpenDisks, vmxPath: String, watchesLocks: Bool) {
    // The times of a device node say nothing of the device.
    let files = disks.images.flatMap(\.files).filter { !$0.status.isBlockDevice }
    self.init(vmxPath: vmxPath, files: files, watchesLocks: watchesLocks)
  }

  /// Also compares the content identities that the chains of `disks` have now.
  func watching(_ disks: SourceFolder.OpenDisks, _ opening: DiskOpening) -> Stillness {
    var result = self
    result.chains = disks.disks.map { disk in
      Chain(name: disk.fileName, slot: disk.disk.slot, contentIDs: disk.image.links.map(\.contentID))
    }
    result.opening = opening
    return result
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
    if watchesLocks, let evidence = try RunningEvidence(folder: folder).inFolder() {
      throw .changed(path: vmxPath, what: "the VM was started (\(evidence))")
    }
    for file in files { try check(file) }
    for chain in chains { try check(chain, folder) }
  }

  private func check(_ file: VMDKFile) throws(SourceError) {
    let path = file.place.path
    let now: FileStatus
    let isHeld: Bool
    do throws(IOError) {
      let opened = try file.reopened()
      now = try opened.status()
      isHeld = watchesLocks ? try RunningEvidence.isHeld(opened) : false
    } catch {
      if error.isMissing { throw .changed(path: path, what: "it was removed") }
      throw .io(error)
    }
    if isHeld {
      throw .changed(path: vmxPath, what: "the VM was started (\(RunningEvidence.held(file.place.name)))")
    }
    if let what = Self.difference(file.status, now) { throw .changed(path: path, what: what) }
  }

  /// A sentence; nil when nothing was done to the file. The change time too: a program may put the
  /// modification time back, as copying tools do.
  static func difference(_ then: FileStatus, _ now: FileStatus) -> String? {
    guard now.device == then.device, now.inode == then.inode else {
      return "another file was put in its place"
    }
    guard now.sizeBytes == then.sizeBytes else {
      return "its size went from \(then.sizeBytes) to \(now.sizeBytes) bytes"
    }
    let isSame =
      now.modifiedNanoseconds == then.modifiedNanoseconds && now.changedNanoseconds == then.changedNanoseconds
    return isSame ? nil : "it was written to"
  }

  private func check(_ chain: Chain, _ folder: SourceFolder) throws(SourceError) {
    let image: VMDKImage
    do throws(VMDKError) { image = try VMDKImage.open(chain.name, in: folder.directory, opening) } catch {
      throw .changed(path: vmxPath, what: "the chain of disk \(chain.slot) does not open any more (\(error))")
    }
    guard image.links.map(\.contentID) == chain.contentIDs else {
      throw .changed(path: vmxPath, what: "the content identity (CID) of disk \(chain.slot) is another one")
    }
  }
}
