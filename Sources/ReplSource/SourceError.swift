import ReplCommand
import ReplDigest
import ReplIO
import ReplModel
import ReplVMDK
import ReplVMX

/// Why a VM could not be found, frozen or read.
public enum SourceError: ActionableError {
  /// The VMX does not parse or names something that cannot be replicated.
  case vmx(path: String, VMXError)
  case disk(slot: DiskSlot, VMDKError)
  case io(IOError)
  case digest(DigestError)
  /// The VMX carries no UUID; the text is a line that may be added to it.
  case noIdentity(path: String, suggestion: String)
  /// `uuid.bios` is there, but is no UUID; the text is a line that may stand in its place.
  case badIdentity(path: String, found: String, suggestion: String)
  /// Two configured VMX files say that they are the same VM.
  case sharedIdentity(path: String, other: String)
  /// `skipped` are the slots that name a file which is no disk, such as a CD-ROM image.
  case noDisks(path: String, skipped: [String])
  /// Two slots of the VM are made of the same file.
  case sameFile(path: String, first: DiskSlot, second: DiskSlot)
  case tooLarge(slot: DiskSlot, sizeBytes: Int64)
  /// Somebody runs the VM; the evidence is a file or a lock.
  case running(path: String, evidence: String)
  /// The files changed although they were to hold still.
  case changed(path: String, what: String)
  /// The VM cannot be frozen this way; somebody must change the VM or the configuration.
  case cannotFreeze(path: String, why: String)
  /// The freeze did not come about this time.
  case notFrozen(path: String, why: String)
  /// A hook or a command of the freeze failed.
  case command(path: String, stage: FreezeStage, CommandError)
  /// Something of an earlier freeze is still there and could not be removed.
  case leftover(path: String, what: String)
  case compression(String)
  /// The scan was ended before it was through.
  case stopped

  public var remedy: Remedy {
    switch self {
    case .stopped: .retryPass
    case .vmx(_, let error): error.remedy
    case .noIdentity, .badIdentity, .sharedIdentity, .noDisks, .sameFile, .tooLarge, .cannotFreeze: .stopVM
    case .command(_, _, let error): error.remedy
    case .disk(_, let error): error.remedy
    case .io(let error): error.remedy
    case .digest, .running, .changed, .notFrozen, .leftover, .compression: .abandonPass
    }
  }

  public var description: String {
    switch self {
    case .vmx(let path, let error): "\(path): \(error)"
    case .disk(let slot, let error): "disk \(slot): \(error)"
    case .io(let error): "\(error)"
    case .digest(let error): "\(error)"
    case .noIdentity(let path, let suggestion):
      "\(path): neither uuid.bios nor vc.uuid is set, so the VM has no identity: start it once under "
        + "VMware, or add the line \(suggestion)"
    case .badIdentity(let path, let found, let suggestion):
      "\(path): uuid.bios is \"\(SafeText.printable(found, limit: 64))\", which is no UUID of 32 hex digits: "
        + "correct it, or put this line in its place: \(suggestion)"
    case .sharedIdentity(let path, let other):
      "\(path): has the same UUID as \(other), so both would write one standby: give the copy a uuid.bios of "
        + "its own (VMware does when it asks and you answer \"I copied it\"), or take one of the two out of "
        + "the configuration"
    case .noDisks(let path, let skipped):
      "\(path): names no hard disk that is present\(Self.aside(skipped)): attach a disk, or take the VM out "
        + "of the configuration"
    case .sameFile(let path, let first, let second):
      "\(path): the disks \(first) and \(second) are made of the same file, so each would overwrite the "
        + "other: detach one of them"
    case .tooLarge(let slot, let size):
      "disk \(slot): \(size) bytes, at most \(PageGrid.maximumSizeBytes) are supported: take it out of the VM"
    case .running(let path, let evidence):
      "\(path): the VM is running (\(evidence)), and reading it now would mix old and new: power it off, "
        + "choose a freeze provider (reflink, vmware-snapshot, command), or set freeze.allow_fuzzy to accept "
        + "a copy that may need repair"
    case .changed(let path, let what):
      "\(path): \(what) while it was read: the copy would mix old and new, so the pass is dropped "
        + "and tried again"
    case .cannotFreeze(let path, let why): "\(path): \(why)"
    case .notFrozen(let path, let why): "\(path): \(why)"
    case .command(let path, let stage, let error): "\(path): \(stage.key): \(error)"
    case .leftover(let path, let what): "\(path): \(what)"
    case .stopped: "the scan was ended before it was through"
    case .compression(let detail): "compressing a run failed: \(detail)"
    }
  }

  private static func aside(_ skipped: [String]) -> String {
    guard !skipped.isEmpty else { return "" }
    return " (no disks: \(skipped.prefix(4).joined(separator: ", ")))"
  }
}
