import ReplIO
import ReplModel
import ReplVMDK

/// The provider `reflink`: the clones of the last pass against those of this one.
final class ReflinkHint: HintProvider {
  /// Longer than this, reading takes less time: a filesystem that answers slowly, grains all over their file.
  private static let comparisonSeconds: Double = 120

  private let request: ViewRequest
  private let names: [DiskID: String]
  private let kept: HintRecord.Kept?
  private let isStopping: () -> Bool
  /// Opened when the first disk is asked for.
  private var opened: Result<(folder: SourceFolder, opening: DiskOpening), HintRefusal>?

  /// `names` are those of the disks in the VMX; `kept` is what the record of the base has of clones.
  init(
    _ request: ViewRequest, names: [DiskID: String], kept: HintRecord.Kept?, isStopping: @escaping () -> Bool
  ) {
    self.request = request
    self.names = names
    self.kept = kept
    self.isStopping = isStopping
  }

  func answer(for disk: ViewDisk, since known: HintRecord.Disk?) -> HintAnswer {
    var token: HintRecord.Token?
    if let name = names[disk.id] { token = HintRecord.Token(fileName: name) }
    do throws(HintRefusal) {
      return HintAnswer(changed: .success(try changed(disk, known)), token: token)
    } catch { return HintAnswer(changed: .failure(error), token: token) }
  }

  private func changed(_ disk: ViewDisk, _ known: HintRecord.Disk?) throws(HintRefusal) -> HintedRanges {
    guard let known else { throw .noRecord }
    guard let new = disk.image as? VMDKImage else { throw .noImage }
    guard let name = known.token.fileName else { throw .noRecord }
    let (folder, opening) = try clonesBefore()
    let old: VMDKImage
    do throws(VMDKError) { old = try VMDKImage.open(name, in: folder.directory, opening) } catch {
      throw HintRefusal("the clones of the last pass do not open: \(error)")
    }
    guard old.sizeBytes == new.sizeBytes else { throw HintRefusal("the disk has another size") }
    do throws(IOError) {
      var comparison = OriginComparison(old, new)
      let deadline = Deadline(seconds: Self.comparisonSeconds)
      guard let changed = try comparison.run(isStopping: { isStopping() || deadline.hasPassed }) else {
        throw IOError(
          .limit, "compare", path: request.vmxPath,
          detail: "the sender ends, or it takes longer than \(Int(Self.comparisonSeconds)) s")
      }
      return changed
    } catch { throw HintRefusal("the blocks of the clones cannot be compared: \(error)") }
  }

  private func clonesBefore() throws(HintRefusal) -> (folder: SourceFolder, opening: DiskOpening) {
    if let opened { return try opened.get() }
    let outcome: Result<(folder: SourceFolder, opening: DiskOpening), HintRefusal>
    do throws(HintRefusal) { outcome = .success(try openClones()) } catch { outcome = .failure(error) }
    opened = outcome
    return try outcome.get()
  }

  private func openClones() throws(HintRefusal) -> (folder: SourceFolder, opening: DiskOpening) {
    guard let kept, let tag = FreezeTag(kept.tag) else { throw HintRefusal("no clones were kept") }
    let folder: SourceFolder
    do throws(SourceError) { folder = try SourceFolder(vmxPath: request.vmxPath) } catch {
      throw HintRefusal("\(error)")
    }
    do throws(IOError) {
      var directories: [FreezeRecord.CloneFolder: any StorageDirectory] = [:]
      var files: [DiskFileName: PosixFile] = [:]
      for clone in kept.clones {
        let directory: any StorageDirectory
        if let known = directories[clone.folder] {
          directory = known
        } else {
          directory = try CloneFolder(clone.folder, tag).parent.openDirectory(tag.directoryName)
          directories[clone.folder] = directory
        }
        guard let posix = directory as? PosixDirectory else {
          throw IOError(.wrongFileType, "open", path: directory.path)
        }
        files[DiskFileName(directory: clone.directory, name: clone.name)] =
          try posix.openPosixFile(clone.cloneName, .read)
      }
      var opening = request.opening
      opening.substitutes = files
      return (folder, opening)
    } catch { throw HintRefusal("the clones of the last pass are not there: \(error)") }
  }
}
