import ReplModel
import ReplService
import ReplSource

/// Decides from configuration, evidence and memory who is replicated. Pure.
///
/// A VM is its UUID. Of two live VMX files with one UUID, the one that had it before goes on; a file that is
/// gone, or holds another UUID by now, keeps nobody from taking over. What cannot be read stays as it was.
struct RosterRules {
  /// What is shown of VMs that are found; more would make the status too large to be read by anyone.
  static let shownFound = 1000

  let config: SenderConfig
  let evidence: RosterEvidence
  /// Which VM each path was.
  let before: [String: VMID]
  let goneBefore: [VMID: GoneVM]
  let now: WallTime

  private var outcome = RosterOutcome()
  private var paths: Set<String> = []
  private var files: [RosterEvidence.FileKey: String] = [:]
  /// Which path has a VM now.
  private var holders: [VMID: String] = [:]

  init(
    config: SenderConfig, evidence: RosterEvidence, before: [String: VMID], goneBefore: [VMID: GoneVM],
    now: WallTime
  ) {
    self.config = config
    self.evidence = evidence
    self.before = before
    self.goneBefore = goneBefore
    self.now = now
  }

  /// The answer.
  func decide() -> RosterOutcome {
    var rules = self
    rules.enterMembers()
    rules.claim()
    rules.bury()
    rules.report()
    return rules.outcome
  }

  /// What a path was before, also when its VM is gone since.
  private func remembered(_ path: String) -> VMID? {
    before[path] ?? goneBefore.values.filter { $0.path == path }.max { $0.at < $1.at }?.vm
  }

  // MARK: - Members

  private mutating func enterMembers() {
    for vm in config.vms { enter(vm, folder: nil) }
    for (index, folder) in config.folders.enumerated() {
      warn(of: index)
      guard folder.policy == .protect else { continue }
      for path in takenPaths(index) where !isSomebodyElses(path) {
        enter(folder.vm(at: path), folder: folder.watched.path)
      }
    }
  }

  private mutating func enter(_ vm: SenderConfig.VM, folder: String?) {
    let path = vm.vmxPath
    paths.insert(path)
    if let file = evidence.files[path], files[file] == nil { files[file] = path }
    var name: String?
    if case .vm(_, let displayName)? = evidence.readings[path] { name = displayName }
    outcome.members.append(RosterOutcome.Member(vm: vm, folder: folder, displayName: name))
  }

  /// The paths that a folder decides over: what was found, and what was there before and cannot be seen now.
  private func takenPaths(_ index: Int) -> [String] {
    let folder = config.folders[index].watched
    let contents = evidence.looks[index].contents
    let found = contents?.vms.filter { !$0.isExcluded }.map(\.vmxPath) ?? []
    let unseen = before.keys.filter { path in
      guard folder.takes(absolutePath: path), let relative = folder.relativePath(of: path) else {
        return false
      }
      return !(contents?.covers(relative) ?? false)
    }
    return Set(found).union(unseen).filter { decider(of: $0) == index }.sorted()
  }

  /// The first folder that takes a path decides over it.
  private func decider(of path: String) -> Int? {
    config.folders.firstIndex { $0.watched.takes(absolutePath: path) }
  }

  /// The same path again, or the same file by another one.
  private func isSomebodyElses(_ path: String) -> Bool {
    paths.contains(path) || evidence.files[path].flatMap { files[$0] } != nil
  }

  private mutating func warn(of index: Int) {
    switch evidence.looks[index] {
    case .failed(let error):
      outcome.isIncomplete = true
      outcome.warnings.append(
        "\(error): new VMs in this folder are not seen, and those that were protected stay protected")
    case .contents(let contents):
      if !contents.problems.isEmpty { outcome.isIncomplete = true }
      outcome.warnings += contents.problems
    }
  }

  // MARK: - Identities

  private mutating func claim() {
    let all = outcome.members.map(\.vm.vmxPath)
    for path in all {
      guard let known = remembered(path) else { continue }
      switch evidence.readings[path] {
      case .vm(let vm, _): if vm == known { take(path, vm) }
      case .unknown: take(path, known)
      case .missing, nil: break
      }
    }
    for path in all {
      if case .vm(let vm, _)? = evidence.readings[path] { take(path, vm) }
    }
    // Its file is gone, and so is nobody's rival: it keeps its name and its lag.
    for path in all {
      if case .missing? = evidence.readings[path], let known = remembered(path) { take(path, known) }
    }
  }

  private mutating func take(_ path: String, _ vm: VMID) {
    guard outcome.claims[path] == nil, holders[vm] == nil else { return }
    outcome.claims[path] = vm
    holders[vm] = path
  }

  // MARK: - Gone

  private mutating func bury() {
    for gone in goneBefore.values where holders[gone.vm] == nil && isOurs(gone.path) {
      outcome.gone[gone.vm] = gone
    }
    for (path, vm) in before where holders[vm] == nil && isOurs(path) && outcome.gone[vm] == nil {
      outcome.gone[vm] = GoneVM(vm: vm, name: path, path: path, at: now, cause: causeOfAbsence(path, vm))
    }
  }

  /// A path that nobody asks for any more leaves the status with what it was.
  private func isOurs(_ path: String) -> Bool {
    if config.vms.contains(where: { $0.vmxPath == path }) { return true }
    return decider(of: path).map { config.folders[$0].policy == .protect } ?? false
  }

  private func causeOfAbsence(_ path: String, _ vm: VMID) -> String {
    let shown = SafeText.printable(path, limit: 1024)
    let next =
      "its standby stays at the receiver as it is; when that is right, run `repl-sender forget \(vm)`"
    if case .vm(let other, _)? = evidence.readings[path] {
      return
        "\(shown) is another VM now (UUID \(other)), which has a standby of its own; "
        + "this one is gone: \(next)"
    }
    return "\(shown) is no longer there: mount the datastore, or bring the VM back; \(next)"
  }

  // MARK: - Found

  private mutating func report() {
    var seen: Set<VMID> = []
    for (index, folder) in config.folders.enumerated() where folder.policy == .report {
      for path in takenPaths(index) where !isSomebodyElses(path) {
        guard let reading = evidence.readings[path] else { continue }
        if let found = found(path, reading, in: folder.watched.path, &seen) { outcome.found.append(found) }
      }
    }
    let rest = outcome.found.count - Self.shownFound
    guard rest > 0 else { return }
    outcome.found.removeLast(rest)
    outcome.warnings.append(
      "\(rest) more VMs that are found and not protected are not listed: `repl-sender discover` lists all")
  }

  private mutating func found(
    _ path: String, _ reading: RosterEvidence.Reading, in folder: String, _ seen: inout Set<VMID>
  ) -> RosterOutcome.Found? {
    let shown = SafeText.printable(path, limit: 1024)
    let standIn = VMIdentity.standIn(for: path)
    switch reading {
    case .missing: return nil
    case .unknown(let error):
      return .init(path: path, folder: folder, id: standIn, name: path, problem: "\(error)")
    case .vm(let vm, let name):
      if let gone = outcome.gone[vm] {
        outcome.gone[vm] = Self.moved(gone, to: shown)
        return nil
      }
      if let holder = holders[vm] {
        if case .missing? = evidence.readings[holder] {
          outcome.warnings.append(
            "\(SafeText.printable(holder, limit: 1024)) is no longer there, and the VM lies at \(shown) now: "
              + "correct its vmx in the configuration")
          return nil
        }
        let problem = "\(SourceError.sharedIdentity(path: path, other: holder))"
        return .init(path: path, folder: folder, id: standIn, name: name, problem: problem)
      }
      let isNew = seen.insert(vm).inserted
      return .init(
        path: path, folder: folder, id: isNew ? vm : standIn, name: name,
        problem: isNew ? nil : "another VMX in the watched folders has the same UUID")
    }
  }

  private static func moved(_ gone: GoneVM, to path: String) -> GoneVM {
    let hint = "; a VM with its UUID lies at \(path), which is not protected"
    guard !gone.cause.contains(hint) else { return gone }
    var result = gone
    result.cause += hint
    return result
  }
}
