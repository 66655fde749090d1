import ReplModel

extension StandbyError {
  public var description: String {
    switch self {
    case .fenced(let vm, let epoch, let at, let reason):
      "\(vm): promoted at this site on \(at) (epoch \(epoch), \(SafeText.printable(reason))): "
        + "replication never writes a promoted standby; stop replicating this VM, or bring its changes home"
    case .lockHeld(let path): "\(path): held by another pass or by a failover: try again later"
    case .interruptedByFailover(let vm): "\(vm): a failover waits for this standby: the pass makes way"
    case .staleEpoch(let offered, let current):
      "epoch \(offered.map(String.init(describing:)) ?? "unknown") was offered, this standby is at "
        + "\(current): the sender missed a failover; a person must say which side is right"
    case .notYours(let vm, let owner, let peer):
      "\(vm): belongs to peer \(SafeText.printable(owner)), offered by \(SafeText.printable(peer)): "
        + "one VM has one sender; remove it from the other one's configuration"
    case .badOffer(let detail): "offer refused: \(detail)"
    case .diskChanged(let disk, let detail): "disk \(disk): \(detail)"
    case .diskKept(let disk, let detail): "disk \(disk) is not removed: \(detail)"
    case .unknownDisk(let index): "disk index \(index) is not in the offer"
    case .keyMissing(let key): "digest key \(key) is not here: the sender must send it before it offers"
    case .damagedBatch(let disk, let detail):
      "batch for disk \(disk.map(String.init(describing:)) ?? "?"): \(detail): it must be sent again"
    case .damagedFile(let file, let detail): "\(file) file: \(detail)"
    case .countMismatch(let disk, let detail): "disk \(disk): \(detail): the pass cannot be committed"
    case .rootMismatch(let disk, let expected, let found):
      "disk \(disk): root \(found), expected \(expected): the pass cannot be committed"
    case .outOfSpace, .diverged, .inUse, .storage, .digest, .catalogDamaged, .journalDamaged, .newerFormat,
      .storeMissing, .duplicateVM, .filesRefused, .passEnded, .readingAgain, .pointLost, .pointRefused,
      .notRepaired, .otherStore, .storageUnfit, .doesNotFit, .journalFull, .deviceRefused,
      .catalogFull:
      storageDescription
    }
  }

  private var placeDescription: String {
    switch self {
    case .otherStore(let path, let name, let expected, let found):
      "\(path): the store \(found) is here, \(expected) was here before: another disk is mounted in "
        + "its place; "
        + "mount the right one"
        + (name.map { "; if the store was replaced for good, run \"repl-receiver storage forget \($0)\"" }
          ?? "; if the store was replaced for good, run \"repl-receiver storage forget\" for it "
          + "and restart repl-receiver")
    case .storageUnfit(let path, let detail):
      "\(path): no standby can be kept here: \(detail): move the store to another filesystem "
        + "(\"repl-receiver storage check\" tells what this one does)"
    case .deviceRefused(let path, let detail): "device \(SafeText.printable(path)): \(detail)"
    case .doesNotFit(let path, let needed, let free):
      "\(path): files take all of their size at once here: the disks need \(needed) bytes more, \(free) are "
        + "free above the floor: free some, or move the store to a filesystem with sparse files"
    case .journalFull(let path, let needed, let budget):
      "\(path): the journal of this pass would have \(needed) bytes, its budget is \(budget): nothing was "
        + "changed; free space on the store or raise journal_budget; replication goes on by itself"
    case .catalogFull(let path, let needed, let limit):
      "\(path): it would have \(needed) bytes, at most \(limit) are allowed, and no recovery point may be "
        + "dropped for it: nothing was changed; keep fewer points (retention), drop some (repl-receiver "
        + "points drop), or wait until they are older than the floor"
    default: preconditionFailure("described above")
    }
  }

  private var storageDescription: String {
    switch self {
    case .outOfSpace(let path, let needed, let free):
      "\(path): no space left" + (needed.map { ": \($0) bytes are needed" } ?? "")
        + (free.map { ", \($0) are free" } ?? "") + ": free some; replication goes on by itself"
    case .diverged(let disk, let page, let detail):
      "disk \(disk)" + (page.map { " page \($0)" } ?? "")
        + ": diverged: \(detail): replication to this standby has stopped and overwrites nothing; "
        + "run \"repl-receiver adopt VM --verify\", which keeps what is right and lets the next pass bring "
        + "the rest, or begin its copy anew with \"repl-receiver reseed VM\""
    case .inUse(let path, let holder):
      "\(path): \(holder ?? "another program has it open and locked"): is the standby running? Nothing is "
        + "written while it is; power it off there, or remove the lock that a crash left"
    case .storage(let error): error.description
    case .digest(let error): "\(error)"
    case .catalogDamaged(let path, let detail):
      "\(path): damaged: \(detail): nothing was changed; restore the file or seed this standby anew"
    case .journalDamaged(let path, let detail):
      "\(path): damaged: \(detail): nothing was changed; keep the file and ask for help"
    case .newerFormat(let path, let found, let supported):
      "\(path): format \(found), this program reads up to \(supported): upgrade this program"
    case .storeMissing(let path):
      "\(path): no store: \(StandbyLayout.storeFile) is not in it: mount its file system, or make it a store "
        + "with `repl-receiver init --store PATH`"
    case .duplicateVM(let vm, let paths): "\(vm): more than one standby: \(paths.joined(separator: ", "))"
    case .filesRefused(let detail): "files of the standby: \(detail)"
    case .pointLost(let point, let detail):
      "recovery point \(point) cannot be had: \(detail): take another one (repl-receiver points)"
    case .pointRefused(let detail): detail
    case .passEnded(let detail): "this pass has ended: \(detail)"
    case .notRepaired(let detail): "not repaired: \(detail)"
    case .readingAgain(let disk, let done, let total):
      "disk \(disk): its first copy was cut off by a crash and is read again, \(done) of \(total) bytes so "
        + "far: it goes on by itself"
    case .otherStore, .storageUnfit, .doesNotFit, .journalFull, .deviceRefused, .catalogFull: placeDescription
    default: preconditionFailure("described above")
    }
  }
}
