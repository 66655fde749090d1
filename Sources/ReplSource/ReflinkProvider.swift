import Glibc
import ReplIO
import ReplModel
import ReplVMDK

/// The provider `reflink`: a clone of every file of every link (FICLONE), on a filesystem that shares blocks.
///
/// One clone is of one instant; several are of one instant only when at most one of the files changed while
/// they were made: then the view is that of the moment at which this one was cloned.
struct ReflinkProvider: FreezeProvider {
  /// How often the files are cloned when more than one of them changed meanwhile.
  private static let attempts = 5
  /// The kernel stamps times by its tick, at most 10 ms: a write this shortly before a look may not show in
  /// the next one.
  private static let tickNanoseconds: Int64 = 20_000_000
  /// Filesystems that share blocks and on which a change of a file shows at once in its times. Clones over a
  /// network are refused: writes of another machine may still be on their way.
  private static let filesystems: Set<String> = ["xfs", "btrfs"]

  let subject: FreezeSubject
  private var files: [VMDKFile] = []
  /// By file: the folder in the record.
  private var folders: [Int] = []
  private var directories: [(folder: CloneFolder, clones: PosixDirectory)] = []
  private var frozenAt = WallTime(millisecondsSince1970: 0)
  private var label = PointLabel.crashConsistent
  private var cloneSeconds = 0.0

  init(subject: FreezeSubject) { self.subject = subject }

  mutating func prepare(_ record: inout FreezeRecord, _ commands: FreezeCommands) throws(SourceError) {
    let live = try subject.openDisks()
    guard let tag = FreezeTag(record.tag) else { preconditionFailure("a record without a tag") }
    for disk in live.disks {
      for file in disk.image.files {
        guard !file.status.isBlockDevice else {
          throw .cannotFreeze(
            path: subject.path,
            why:
              "disk \(disk.disk.slot) is the device \(file.place.path), which cannot be cloned: exclude the "
              + "disk, or use the freeze provider command")
        }
        let (root, name) = CloneFolder.place(of: file.place)
        files.append(file)
        if let known = record.clones.firstIndex(where: { $0.root == root && $0.name == name }) {
          folders.append(known)
        } else {
          folders.append(record.clones.count)
          record.clones.append(try checkedFolder(root, name, tag))
        }
      }
    }
  }

  private func checkedFolder(
    _ root: String, _ name: String, _ tag: FreezeTag
  ) throws(SourceError) -> FreezeRecord.CloneFolder {
    do throws(IOError) {
      let parent = try CloneFolder(.init(root: root, name: name, inode: 0), tag).parent
      let filesystem = try parent.filesystemName()
      if Self.filesystems.contains(filesystem) {
        return .init(root: root, name: name, inode: try parent.status().inode)
      }
      throw IOError(.system(EOPNOTSUPP), filesystem, path: parent.path)
    } catch {
      guard error.systemCode == EOPNOTSUPP else { throw .io(error) }
      throw noSharing(error.path, "it lies on \(error.operation)")
    }
  }

  private func noSharing(_ path: String, _ why: String) -> SourceError {
    .cannotFreeze(
      path: path,
      why:
        "\(why), and the freeze provider reflink needs xfs (with reflink=1) or btrfs: move the VM there, or "
        + "use the freeze provider vmware-snapshot or command")
  }

  mutating func freeze(_ record: inout FreezeRecord, _ steps: FreezeSteps) throws(SourceError) {
    guard let tag = FreezeTag(record.tag) else { preconditionFailure("a record without a tag") }
    directories = try makeDirectories(record, tag)
    var attempt = 1
    while true {
      frozenAt = steps.time.wallTime()
      let changed = try cloneAll(tag, steps.time)
      if changed.count <= 1 { return }
      let names = changed.map { SafeText.printable($0) }.joined(separator: ", ")
      if attempt == Self.attempts {
        guard subject.request.freeze.allowFuzzy else { throw busy(names) }
        label = .fuzzy
        return
      }
      steps.report(FreezeEvent(.info, "written to while they were cloned: \(names): trying again"))
      attempt += 1
      try removeClones()
      // Longer than a tick: a guest that was frozen a moment ago shows no young times then.
      Pause.milliseconds(Int32(Self.tickNanoseconds / 1_000_000) + 5)
    }
  }

  private func busy(_ names: String) -> SourceError {
    .notFrozen(
      path: subject.path,
      why:
        "\(names) were written to at once in each of \(Self.attempts) attempts, so that their clones are not "
        + "of one instant: configure hooks that freeze the guest (freeze.pre_freeze and freeze.post_thaw), "
        + "use another freeze provider, or set freeze.allow_fuzzy")
  }

  private func makeDirectories(
    _ record: FreezeRecord, _ tag: FreezeTag
  ) throws(SourceError) -> [(folder: CloneFolder, clones: PosixDirectory)] {
    do throws(IOError) {
      var result: [(folder: CloneFolder, clones: PosixDirectory)] = []
      for place in record.clones {
        let folder = try CloneFolder(place, tag)
        result.append((folder, try folder.create()))
      }
      return result
    } catch { throw .io(error) }
  }

  private func removeClones() throws(SourceError) {
    do throws(IOError) {
      for (folder, clones) in directories { _ = try folder.removeClones(in: clones) }
    } catch { throw .io(error) }
  }

  /// The names of the files that changed between the look before and the one after.
  private mutating func cloneAll(_ tag: FreezeTag, _ time: any TimeSource) throws(SourceError) -> [String] {
    // The kernel's own clock, by which it stamps the files; never the injected one. Before the first look:
    // looking at many files takes longer than a tick.
    let now = SystemTime().wallTime().millisecondsSince1970 * 1_000_000
    var before: [FileStatus] = []
    for file in files { before.append(try look(file)) }
    let began = time.monotonicNanoseconds()
    for index in files.indices { try clone(index, tag, directories[folders[index]].clones) }
    cloneSeconds += Double(time.monotonicNanoseconds() - began) / 1e9
    var changed: [String] = []
    for (file, then) in zip(files, before) {
      let isYoung = max(then.modifiedNanoseconds, then.changedNanoseconds) > now - Self.tickNanoseconds
      let after = try look(file)
      if isYoung || Stillness.difference(then, after) != nil { changed.append(file.relativePath) }
    }
    return changed
  }

  private func look(_ file: VMDKFile) throws(SourceError) -> FileStatus {
    do throws(IOError) { return try file.reopened().status() } catch {
      if error.isMissing { throw .changed(path: file.place.path, what: "it was removed") }
      throw .io(error)
    }
  }

  private func clone(
    _ index: Int, _ tag: FreezeTag, _ directory: PosixDirectory
  ) throws(SourceError) {
    do throws(IOError) {
      let source = try files[index].reopened()
      try directory.openPosixFile(tag.cloneName(index), .createNew).clone(from: source)
    } catch {
      guard let code = error.systemCode, [EOPNOTSUPP, EXDEV, EINVAL, ENOTTY].contains(code) else {
        throw .io(error)
      }
      throw noSharing(files[index].place.path, "it cannot be cloned (\(String(cString: strerror(code))))")
    }
  }

  /// Nil where a name is no text, as a record needs it.
  private func viewClones(_ tag: FreezeTag, _ opened: [DiskFileName: PosixFile]) -> ViewClones? {
    guard files.allSatisfy({ $0.place.rawName == nil }) else { return nil }
    let clones = files.indices.map { index in
      ViewClones.File(
        directory: files[index].place.directory, name: files[index].place.name, folder: folders[index],
        cloneName: tag.cloneName(index))
    }
    // What cannot be asked now is only not told.
    let bytes = opened.values.reduce(Int64(0)) { $0 + ((try? $1.status())?.allocatedBytes ?? 0) }
    return ViewClones(files: clones, allocatedBytes: bytes)
  }

  /// Opens the chains from the clones and from nothing else.
  func open(_ record: inout FreezeRecord, _ steps: FreezeSteps) throws(SourceError) -> FrozenDisks {
    guard let tag = FreezeTag(record.tag) else { preconditionFailure("a record without a tag") }
    try subject.checkSameDisks()
    var opening = subject.request.opening
    var clones: [DiskFileName: PosixFile] = [:]
    for (index, file) in files.enumerated() {
      do throws(IOError) {
        clones[file.place] = try directories[folders[index]].clones.openPosixFile(
          tag.cloneName(index), .read)
      } catch { throw .io(error) }
    }
    opening.substitutes = clones
    let disks = try subject.folder.openDisks(subject.vmx, subject.request, opening: opening)
    return FrozenDisks(
      disks: disks, frozenAt: frozenAt, label: label, vmx: subject.vmx.bytes,
      nvram: try subject.folder.readNVRAM(subject.vmx),
      stillness: Stillness(of: disks, vmxPath: subject.path, watchesLocks: false),
      cloneSeconds: cloneSeconds, clones: viewClones(tag, clones))
  }
}
