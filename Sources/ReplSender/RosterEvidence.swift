import Glibc
import ReplIO
import ReplModel
import ReplService
import ReplSource

/// Looks at folders and files that know which of them hang.
struct RosterScans: Sendable {
  /// A large datastore on a slow line takes a while to be gone through.
  private static let folderSeconds = 30.0
  private static let fileSeconds = 2.0
  /// So many files that hang in one filesystem are the filesystem.
  private static let hangingFiles = 4

  let folders: PatientScan
  let files: PatientScan

  init(time: any TimeSource) {
    folders = PatientScan(time: time, patienceSeconds: Self.folderSeconds, hangingLimit: 256)
    files = PatientScan(time: time, patienceSeconds: Self.fileSeconds, hangingLimit: Self.hangingFiles)
  }
}

/// What the files say at one moment: the input of the rules that make the roster.
struct RosterEvidence: Sendable {
  /// What one VMX file says of itself.
  enum Reading: Sendable {
    case vm(VMID, displayName: String)
    /// There is no such file.
    case missing
    /// It cannot be read now, or names no VM.
    case unknown(SourceError)
  }

  /// What a look into a watched folder brought.
  enum Look: Sendable {
    case contents(FolderContents)
    case failed(SourceError)

    var contents: FolderContents? { if case .contents(let contents) = self { contents } else { nil } }
  }

  /// A file by what the system calls it, whatever its path.
  struct FileKey: Hashable, Sendable {
    let device, inode: UInt64
  }

  /// In the order of the configuration's folders.
  var looks: [Look] = []
  var readings: [String: Reading] = [:]
  var files: [String: FileKey] = [:]

  /// Looks into every folder, and reads every VMX that is configured, found, or known from before. What lies
  /// on storage that does not answer keeps none of the others: it cannot be read now.
  static func gather(
    _ config: SenderConfig, known: some Sequence<String>, by scans: RosterScans
  ) -> RosterEvidence {
    var evidence = RosterEvidence()
    let folders = Dictionary(config.folders.map { ($0.watched.path, $0.watched) }) { first, _ in first }
    let names = config.folders.map(\.watched.path)
    let looks = scans.folders.run(names) { path -> Look in
      guard let folder = folders[path] else { preconditionFailure("a folder that is not configured") }
      do throws(SourceError) { return .contents(try VMFinder(folder).find()) } catch { return .failed(error) }
    }
    evidence.looks = zip(names, looks).map { path, answer in
      switch answer {
      case .found(let look): look
      case .silent(let since): .failed(silence(of: path, since: since))
      }
    }
    var paths = Set(config.vms.map(\.vmxPath)).union(known)
    for look in evidence.looks {
      paths.formUnion(look.contents?.vms.filter { !$0.isExcluded }.map(\.vmxPath) ?? [])
    }
    let mounts = MountTable.current()
    for (mount, paths) in Dictionary(grouping: paths, by: mounts.point) {
      evidence.read(paths.sorted(), in: mount, by: scans.files)
    }
    return evidence
  }

  /// Those of one storage: when some of them hang, the others are left alone.
  private mutating func read(_ paths: [String], in mount: String, by scan: PatientScan) {
    if scan.isSilent(paths) {
      let detail = "several VMX files in \(mount) do not answer: is it reachable?"
      for path in paths {
        readings[path] = .unknown(.io(IOError(.system(ETIMEDOUT), "look at", path: path, detail: detail)))
      }
      return
    }
    let answers = scan.run(paths) { (Reading.read($0), FileKey(path: $0)) }
    for (path, answer) in zip(paths, answers) {
      switch answer {
      case .found((let reading, let file)): (readings[path], files[path]) = (reading, file)
      case .silent(let since): readings[path] = .unknown(Self.silence(of: path, since: since))
      }
    }
  }

  private static func silence(of path: String, since: WallTime) -> SourceError {
    .io(
      IOError(
        .system(ETIMEDOUT), "look at", path: path,
        detail: "it has not answered since \(since): is its storage reachable?"))
  }
}

extension RosterEvidence.Reading {
  static func read(_ path: String) -> Self {
    do throws(SourceError) {
      let (vm, name) = try ViewIdentity.read(vmxPath: path)
      return .vm(vm, displayName: name)
    } catch {
      if case .io(let cause) = error, cause.isMissing { return .missing }
      return .unknown(error)
    }
  }
}

extension RosterEvidence.FileKey {
  /// Nil where nothing can be looked at.
  init?(path: String) {
    var status = stat()
    guard stat(path, &status) == 0 else { return nil }
    self.init(device: UInt64(status.st_dev), inode: UInt64(status.st_ino))
  }
}
