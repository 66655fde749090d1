import ReplIO
import ReplModel
import ReplVMDK
import Synchronization

/// The janitor: undoes what freezes left that nobody holds any more.
extension ViewFreezer {
  /// VMs whose leftovers are undone at the same time.
  private static let sweepsAtOnce = 8
  /// A look at what is kept takes a moment; a command may take half an hour.
  private static let sweepPatienceSeconds = 2.0

  /// Undoes all that the ledger names and nobody holds, and looks in the folders of `requests` for leftovers
  /// of this installation that it does not name. For the start; VMs are frozen meanwhile, but for those whose
  /// own leftovers are being undone. Blocks.
  ///
  /// A command that the configuration has now is taken instead of the recorded one.
  public func clean(
    _ requests: [ViewRequest], report: @escaping @Sendable (FreezeEvent) -> Void = { _ in }
  ) -> [LeftoverReport] {
    var reports: [LeftoverReport] = []
    let tags: [FreezeTag]
    do throws(IOError) { tags = try ledger.tags() } catch {
      let what = "the ledger of freezes cannot be read: \(error)"
      report(FreezeEvent(.error, what))
      return [LeftoverReport(vmxPath: ledger.path, tag: "", isRemoved: false, text: what)]
    }
    reports += sweep(tags, requests, report)
    var seen: Set<String> = []
    for request in requests where !ending.hasBegun { reports += undeclared(request, &seen, report) }
    return reports
  }

  /// Several VMs at a time: one's command may take long, and another one's guest may stand still.
  private func sweep(
    _ tags: [FreezeTag], _ requests: [ViewRequest], _ report: @escaping @Sendable (FreezeEvent) -> Void
  ) -> [LeftoverReport] {
    // A record that cannot be read is told when it is its turn.
    let groups = Dictionary(grouping: tags) { (try? ledger.read($0))?.vm }.values.map { $0 }
    let next = Mutex(0)
    let reports = Mutex<[LeftoverReport]>([])
    let work: @Sendable () -> Void = { [self] in
      while let index = next.withLock({ next in
        defer { next += 1 }
        return next < groups.count ? next : nil
      }) {
        for tag in groups[index] where !ending.hasBegun {
          swept.withLock { _ = $0.insert(tag) }
          let found = undo(tag, requests, onlyOf: nil, report).map(\.report)
          swept.withLock { _ = $0.remove(tag) }
          reports.withLock { $0 += found }
        }
      }
    }
    let threads = (1..<max(1, min(Self.sweepsAtOnce, groups.count))).compactMap { _ in
      // One does all where there are no threads for it.
      try? NamedThread.tryStart("freeze-sweep", work)
    }
    work()
    for thread in threads { thread.join() }
    return reports.withLock { $0 }
  }

  /// What became of one leftover.
  struct Undone {
    let report: LeftoverReport
    let isBlocking: Bool
    let error: SourceError
  }

  /// Before a freeze: only what the ledger names of this VM.
  func undoDead(of request: ViewRequest, _ report: @escaping @Sendable (FreezeEvent) -> Void) -> [Undone] {
    // What cannot be listed cannot be written either: the freeze itself then fails with the reason.
    let tags = (try? ledger.tags()) ?? []
    guard !tags.isEmpty else { return [] }
    // A VMX that cannot be read is the freeze's to report; until then the VM is known by its path.
    let vm = (try? ViewIdentity.read(vmxPath: request.vmxPath))?.vm
    let subject = Subject(vmxPath: request.vmxPath, vm: vm)
    return tags.filter { tag in
      // What cannot be read is nobody's here, and was reported at the start as a matter of all VMs.
      (try? ledger.owner(of: tag)).map(subject.isOf) ?? false
    }.flatMap { undo($0, [request], onlyOf: subject, report) }
  }

  func undo(
    _ tag: FreezeTag, _ requests: [ViewRequest], onlyOf subject: Subject?,
    _ report: @escaping @Sendable (FreezeEvent) -> Void
  ) -> [Undone] {
    do throws(IOError) {
      if let subject {
        guard swept.wait(seconds: Self.sweepPatienceSeconds, { $0.contains(tag) ? nil : true }) != nil else {
          return [busy(tag, subject.vmxPath)]
        }
      }
      guard let entry = try claim(tag) else { return [] }
      var record = try ledger.read(tag)
      if isKept(record, requests) { return [] }
      if let path = Self.placeNow(of: record, requests.map(\.vmxPath)) { record.follow(to: path) }
      StrayCommand.settle(tag: record.tag, taking: record.mayBeTaking)
      if record.mayBeTaking { record.mayComeLate = true }
      record.mayBeTaking = false
      let commands = FreezeCommands(record, time: time, ending: ending, report: report)
      if let request = requests.first(where: { $0.vmxPath == record.vmxPath }) {
        record.adopt(request.freeze, commands)
      }
      return try undo(&record, entry, commands, report)
    } catch {
      // A record that was removed meanwhile.
      if error.isMissing { return [] }
      let what: SourceError = .leftover(
        path: subject?.vmxPath ?? ledger.path,
        what: "what the freeze \(tag) left cannot be looked up (\(error)): remove directories named "
          + "\(tag.directoryName) and snapshots named \(tag) by hand, then the record in \(ledger.path)")
      return [undone(what, tag, subject?.vmxPath ?? ledger.path, isBlocking: false, report)]
    }
  }

  /// Nil while somebody holds the freeze. A command that is being started elsewhere in this process has a
  /// copy of every lock for a moment, so one look is not enough.
  private func claim(_ tag: FreezeTag) throws(IOError) -> FreezeLedger.Entry? {
    for _ in 0..<10 {
      if let entry = try ledger.claim(tag) { return entry }
      guard try ledger.contains(tag) else { return nil }
      Pause.milliseconds(20)
    }
    return nil
  }

  /// The VM that is about to be frozen.
  struct Subject {
    let vmxPath: String
    let vm: VMID?

    /// Also when it had another path then, and not when another VM had this path. Looks at no file: those of
    /// another VM may lie on a storage that does not answer.
    func isOf(_ owner: FreezeLedger.Owner) -> Bool {
      vm.map { $0 == owner.vm } ?? (owner.vmxPath == vmxPath)
    }
  }

  /// Where the VM of the record lies, when it is no longer where it was.
  private static func placeNow(of record: FreezeRecord, _ paths: [String]) -> String? {
    // A VMX that cannot be read now may be this one: it is not taken for another.
    do throws(SourceError) {
      if try ViewIdentity.read(vmxPath: record.vmxPath).vm == record.vm { return nil }
    } catch {
      guard case .io(let cause) = error, cause.isMissing else { return nil }
    }
    // As above.
    return paths.first { $0 != record.vmxPath && (try? ViewIdentity.read(vmxPath: $0))?.vm == record.vm }
  }

  private func undo(
    _ record: inout FreezeRecord, _ entry: FreezeLedger.Entry, _ commands: FreezeCommands,
    _ report: @escaping @Sendable (FreezeEvent) -> Void
  ) throws(IOError) -> [Undone] {
    let path = record.vmxPath
    let undo = FreezeUndo(tag: entry.tag, commands: commands)
    var left: [FreezeUndo.Leftover] = []
    if let trouble = undo.thaw(&record) { left.append(.init(isBlocking: true, error: trouble)) }
    left += undo.release(&record)
    try entry.write(record)
    if left.isEmpty && !record.isSettled {
      report(FreezeEvent(.info, "\(path): looked for what \(entry.tag) may have left; once more next time"))
      return []
    }
    if left.isEmpty, record.keptSince != nil {
      report(FreezeEvent(.info, "\(path): clones kept for hints (\(entry.tag)) were removed"))
      return []
    }
    if left.isEmpty {
      let text = "\(path): what a freeze of \(record.begunAt) left (\(entry.tag)) was undone"
      report(FreezeEvent(.warning, text))
      let done = LeftoverReport(vmxPath: path, tag: record.tag, isRemoved: true, text: text)
      return [Undone(report: done, isBlocking: false, error: .leftover(path: path, what: text))]
    }
    return left.map { undone($0.error, entry.tag, path, isBlocking: $0.isBlocking, report) }
  }

  /// Nobody is told of it as a leftover: it is on its way.
  private func busy(_ tag: FreezeTag, _ path: String) -> Undone {
    let error = SourceError.leftover(
      path: path, what: "what an earlier freeze left (\(tag)) is being undone; the pass after that goes on")
    let left = LeftoverReport(vmxPath: path, tag: tag.description, isRemoved: false, text: "\(error)")
    return Undone(report: left, isBlocking: true, error: error)
  }

  private func undone(
    _ error: SourceError, _ tag: FreezeTag, _ path: String, isBlocking: Bool,
    _ report: @escaping @Sendable (FreezeEvent) -> Void
  ) -> Undone {
    report(FreezeEvent(.error, "\(error)"))
    let left = LeftoverReport(vmxPath: path, tag: tag.description, isRemoved: false, text: "\(error)")
    return Undone(report: left, isBlocking: isBlocking, error: error)
  }
}

extension FreezeRecord {
  /// Takes the commands that the configuration has now, which may have been corrected since.
  mutating func adopt(_ settings: FreezeSettings, _ commands: FreezeCommands) {
    if postThaw != nil, let spec = settings.postThaw { postThaw = commands.filled(spec) }
    switch settings.provider {
    case .none, .reflink: break
    case .vmwareSnapshot(_, let remove):
      if let old = snapshot {
        snapshot = Snapshot(
          remove: commands.filled(remove), disksBefore: old.disksBefore, deltas: old.deltas,
          mayComeLate: old.mayComeLate)
      }
    case .command(_, let spec):
      if release != nil { release = commands.filled(spec) }
    }
  }
}
