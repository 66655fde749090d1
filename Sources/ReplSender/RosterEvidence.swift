import Glibc
import ReplIO
import ReplModel
import ReplService
import ReplSource

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

  /// Looks into every folder, and reads every VMX that is configured, found, or known from before.
  static func gather(_ config: SenderConfig, known: some Sequence<String>) -> RosterEvidence {
    var evidence = RosterEvidence()
    for folder in config.folders {
      do throws(SourceError) {
        evidence.looks.append(.contents(try VMFinder(folder.watched).find()))
      } catch { evidence.looks.append(.failed(error)) }
    }
    var paths = Set(config.vms.map(\.vmxPath)).union(known)
    for look in evidence.looks {
      paths.formUnion(look.contents?.vms.filter { !$0.isExcluded }.map(\.vmxPath) ?? [])
    }
    for path in paths {
      evidence.readings[path] = Reading.read(path)
      evidence.files[path] = FileKey(path: path)
    }
    return evidence
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
