import ReplIO
import ReplModel

/// Freezes views of VMs, and undoes what a crash left of earlier freezes. One per sender.
public final class ViewFreezer: Sendable {
  let ledger: FreezeLedger
  let hints: HintShelf?
  let time: any TimeSource
  let ending = FreezeEnding()
  /// What the janitor of the start has not dealt with yet.
  let swept = Monitor<Set<FreezeTag>>([])

  /// - Parameter directory: of its own, in the state directory: the ledger of freezes.
  /// - Parameter hints: knows which clones are kept for the next pass; without it none are.
  public init(
    directory: any StorageDirectory, hints: HintShelf? = nil, time: any TimeSource = SystemTime()
  ) throws(SourceError) {
    self.hints = hints
    do throws(IOError) { ledger = try FreezeLedger(directory: directory) } catch { throw .io(error) }
    self.time = time
  }

  /// Freezes one VM: pre-freeze hook, all disks at once, post-thaw hook. Blocks. The caller releases the view
  /// after the pass, whatever happened.
  ///
  /// What an earlier freeze of this VM left is undone first; while that fails, the VM is not frozen again.
  public func take(
    _ request: ViewRequest, report: @escaping @Sendable (FreezeEvent) -> Void = { _ in }
  ) throws(SourceError) -> VMView {
    for leftover in undoDead(of: request, report) where leftover.isBlocking { throw leftover.error }
    let subject = try FreezeSubject(request)
    return try Freezing(subject: subject, ledger: ledger, time: time, ending: ending, report: report).run()
  }

  /// The sender ends: no freeze begins any more, and one that is on its way is given up, its guest let go.
  public func stop() { ending.begin() }

  /// Whether a guest may stand still now: what ends the process waits for it.
  public var isGuestHeld: Bool { ending.isGuestHeld }
}

/// One freeze, from the first hook to the view.
struct Freezing {
  let subject: FreezeSubject
  let ledger: FreezeLedger
  let time: any TimeSource
  let ending: FreezeEnding
  let report: @Sendable (FreezeEvent) -> Void

  private var settings: FreezeSettings { subject.request.freeze }

  private func provider() -> any FreezeProvider {
    switch settings.provider {
    case .none: PoweredOffProvider(subject: subject)
    case .reflink: ReflinkProvider(subject: subject)
    case .vmwareSnapshot(let create, let remove):
      SnapshotProvider(subject: subject, create: create, remove: remove)
    case .command(let take, let release): CommandProvider(subject: subject, take: take, release: release)
    }
  }

  func run() throws(SourceError) -> VMView {
    var provider = provider()
    if case .none = settings.provider, settings.preFreeze == nil, settings.postThaw == nil {
      // Nothing is made, so nothing is to be undone.
      var record = record(FreezeTag(installation: ledger.installation))
      let commands = FreezeCommands(record, time: time, ending: ending, report: report)
      try provider.prepare(&record, commands)
      return view(try provider.open(&record, steps(commands, nil)), held: nil, troubles: [])
    }
    let entry: FreezeLedger.Entry
    do throws(IOError) { entry = try ledger.begin() } catch { throw .io(error) }
    var record = record(entry.tag)
    let commands = FreezeCommands(record, time: time, ending: ending, report: report)
    do throws(SourceError) { try provider.prepare(&record, commands) } catch {
      // Nothing was made yet: only the lock goes. One that stays is removed at the next start.
      try? entry.forget()
      throw error
    }
    record.postThaw = settings.postThaw.map(commands.filled)
    return try hold(&provider, &record, entry, commands)
  }

  private func record(_ tag: FreezeTag) -> FreezeRecord {
    FreezeRecord(
      tag: tag, vmxPath: subject.path, vm: subject.vmx.vm, displayName: subject.vmx.displayName,
      provider: settings.provider.name, begunAt: time.wallTime())
  }

  private func steps(_ commands: FreezeCommands, _ entry: FreezeLedger.Entry?) -> FreezeSteps {
    FreezeSteps(commands: commands, time: time, report: report, entry: entry)
  }

  private func hold(
    _ provider: inout any FreezeProvider, _ record: inout FreezeRecord, _ entry: FreezeLedger.Entry,
    _ commands: FreezeCommands
  ) throws(SourceError) -> VMView {
    let undo = FreezeUndo(tag: entry.tag, commands: commands)
    // Durable before anything of it exists: a crash from here on is undone by the janitor.
    do throws(IOError) { try entry.write(record) } catch { throw .io(error) }
    let begun = time.monotonicNanoseconds()
    let trouble: SourceError?
    do throws(SourceError) {
      trouble = try ending.holdingGuest(record.postThaw != nil) { () throws(SourceError) in
        try freeze(&provider, &record, steps(commands, entry), undo)
      }
    } catch {
      try abandon(error, undo, &record, entry)
    }
    let guestHeld = Double(time.monotonicNanoseconds() - begun) / 1e9
    let frozen: FrozenDisks
    do throws(SourceError) {
      // The thaw, and what the provider learnt of its work.
      try steps(commands, entry).write(record)
      frozen = try provider.open(&record, steps(commands, entry))
    } catch {
      // One that could not be thawed is tried once more.
      if let trouble = undo.thaw(&record) { shout(trouble) }
      try abandon(error, undo, &record, entry)
    }
    let held = HeldFreeze(
      record: record, entry: entry, undo: undo, time: time, begunNanoseconds: begun,
      guestHeldSeconds: settings.preFreeze == nil && settings.postThaw == nil ? nil : guestHeld)
    return view(frozen, held: held, troubles: trouble.map { [$0] } ?? [])
  }

  /// From the pre-freeze hook to the post-thaw hook.
  /// - Returns: why the guest could not be thawed.
  private func freeze(
    _ provider: inout any FreezeProvider, _ record: inout FreezeRecord, _ steps: FreezeSteps,
    _ undo: FreezeUndo
  ) throws(SourceError) -> SourceError? {
    var failure: SourceError?
    do throws(SourceError) {
      if let hook = settings.preFreeze { try steps.commands.run(steps.commands.filled(hook), .preFreeze) }
      try provider.freeze(&record, steps)
    } catch { failure = error }
    let trouble = undo.thaw(&record)
    if let trouble { shout(trouble) }
    if let failure { throw failure }
    return trouble
  }

  /// The freeze failed, the guest is thawed: everything is undone at once. What cannot be is the janitor's.
  private func abandon(
    _ error: SourceError, _ undo: FreezeUndo, _ record: inout FreezeRecord, _ entry: FreezeLedger.Entry
  ) throws(SourceError) -> Never {
    for leftover in undo.release(&record) { shout(leftover.error) }
    do throws(IOError) { try entry.write(record) } catch { shout(.io(error)) }
    throw error
  }

  private func shout(_ error: SourceError) {
    report(FreezeEvent(.error, "\(error)"))
  }

  private func view(_ frozen: FrozenDisks, held: HeldFreeze?, troubles: [SourceError]) -> VMView {
    VMView(
      vm: subject.vmx.vm, displayName: subject.vmx.displayName, frozenAt: frozen.frozenAt,
      label: label(frozen, isThawed: troubles.isEmpty), disks: frozen.disks.disks.map(\.disk),
      vmx: frozen.vmx, nvram: frozen.nvram,
      excluded: frozen.disks.excluded, troubles: troubles, stillness: frozen.stillness, held: held,
      cloneSeconds: frozen.cloneSeconds, clones: frozen.clones)
  }

  /// Quiesced only where something brought the guest to rest: hooks that ended well, or a snapshot command. A
  /// guest that cannot be thawed may have let go by itself, before the disks stood still.
  private func label(_ frozen: FrozenDisks, isThawed: Bool) -> PointLabel {
    guard settings.quiesced, isThawed, frozen.label == .crashConsistent else { return frozen.label }
    switch settings.provider {
    case .none: return .crashConsistent
    case .vmwareSnapshot: return .quiesced
    case .reflink, .command: return settings.preFreeze == nil ? .crashConsistent : .quiesced
    }
  }
}
