import ReplIO
import ReplModel
import Synchronization

/// The change hints of one view: what a pass may leave out, and what is kept for the next pass when it has
/// committed. The page ChangeHints says when a hint is used.
///
/// Calls come from the pass's thread, one after the other.
public final class ViewHints: Sendable {
  /// The point that the receiver holds.
  public struct Base: Sendable, Hashable {
    public let receiver: ReceiverID
    public let reference: PointReference
    public let pass: PassID

    public init(receiver: ReceiverID, reference: PointReference, pass: PassID) {
      (self.receiver, self.reference, self.pass) = (receiver, reference, pass)
    }
  }

  /// A disk of the view, and whether the base map is that of the receiver's point.
  public struct Asked: Sendable {
    public let disk: ViewDisk
    public let grid: PageGrid
    public let isBaseMap: Bool

    public init(disk: ViewDisk, grid: PageGrid, isBaseMap: Bool) {
      (self.disk, self.grid, self.isBaseMap) = (disk, grid, isBaseMap)
    }
  }

  /// What became of the hint of one disk.
  public struct Outcome: Sendable, Hashable {
    public let slot: DiskSlot
    /// Why all of the disk is read; nil where the hint is used.
    public let refusal: String?
    /// Bytes that may have changed; nil without a hint.
    public let changedBytes: Int64?
    public let auditedBytes: Int64
    /// Where the hint was found wrong in this pass.
    public let contradictionOffset: Int64?
    /// Why holes of the disk are not left out; nil where they are.
    public let holeRefusal: String?
    /// Where a hole was found to hold something in this pass.
    public let holeOffset: Int64?
  }

  struct Plan {
    let slot: DiskSlot
    let known: HintRecord.Disk?
    let answer: HintAnswer
    var hint: ChangeHint?
    var refusal: String?
    var isBlamed = false
    /// That it was wrong is written down.
    var isDistrustKept = false
    var holes: HoleTrouble?
  }

  struct State {
    var record: HintRecord?
    /// Why there is no record that could fit.
    var useless: String?
    var plans: [DiskID: Plan] = [:]
    var kept: HintRecord.Kept?
  }

  let view: VMView
  private let request: ViewRequest
  let freezer: ViewFreezer
  let shelf: HintShelf
  let report: @Sendable (FreezeEvent) -> Void
  private let isStopping: @Sendable () -> Bool
  private let makeProvider: (@Sendable (VMView) -> any HintProvider)?
  let state = Mutex(State())

  /// `request` is what the view was taken by; `isStopping` is asked a few times a second.
  public convenience init(
    of view: VMView, request: ViewRequest, freezer: ViewFreezer, shelf: HintShelf,
    isStopping: @escaping @Sendable () -> Bool = { false },
    report: @escaping @Sendable (FreezeEvent) -> Void = { _ in }
  ) {
    self.init(view, request, freezer, shelf, isStopping, report, nil)
  }

  /// `makeProvider`: another one than the settings say, for tests.
  init(
    _ view: VMView, _ request: ViewRequest, _ freezer: ViewFreezer, _ shelf: HintShelf,
    _ isStopping: @escaping @Sendable () -> Bool, _ report: @escaping @Sendable (FreezeEvent) -> Void,
    _ makeProvider: (@Sendable (VMView) -> any HintProvider)?
  ) {
    self.view = view
    self.request = request
    self.freezer = freezer
    self.shelf = shelf
    self.isStopping = isStopping
    self.report = report
    self.makeProvider = makeProvider
  }

  var settings: HintSettings { request.hints }
  var identity: String { settings.provider.identity }

  // MARK: - Before the scan

  /// Asks for what changed since the last pass, while the view stands and before anybody waits for the
  /// answer: a command may take minutes. Blocks.
  public func prepare(pageSizeBytes: Int) {
    do throws(IOError) { try shelf.writeUnwritten(of: view.vm) } catch {
      report(FreezeEvent(.error, "that a hint was found wrong cannot be written down yet: \(error)"))
    }
    let (record, useless) = record()
    state.withLock { ($0.record, $0.useless) = (record, useless) }
    let provider = provider(record)
    for disk in view.disks {
      guard let grid = PageGrid(sizeBytes: disk.image.sizeBytes, pageSizeBytes: pageSizeBytes) else {
        continue
      }
      let known = record?.disks.first { known in
        known.disk == disk.id && known.slot == disk.slot && known.grid == grid
      }
      let plan = Plan(slot: disk.slot, known: known, answer: provider.answer(for: disk, since: known))
      state.withLock { $0.plans[disk.id] = plan }
    }
  }

  private func record() -> (HintRecord?, useless: String?) {
    switch shelf.record(of: view.vm) {
    case .nothing: return (nil, "there is no record of the last pass")
    case .useless(let why): return (nil, why)
    case .record(let record):
      guard record.provider == identity else {
        return (nil, "the hints of the last pass came from elsewhere (hints.from was changed)")
      }
      return (record, nil)
    }
  }

  /// A hint for each disk, nil where all of it is to be read. `base` is the receiver's newest point; asked
  /// again at every connection.
  public func hints(for disks: [Asked], base: Base?) -> [ChangeHint?] {
    disks.map { asked in
      do throws(HintRefusal) {
        let hint = try hint(asked, base)
        state.withLock { $0.plans[asked.disk.id]?.refusal = nil }
        return hint
      } catch {
        state.withLock { $0.plans[asked.disk.id]?.refusal = error.description }
        return nil
      }
    }
  }

  private func hint(_ asked: Asked, _ base: Base?) throws(HintRefusal) -> ChangeHint {
    let (record, useless, found) = state.withLock { ($0.record, $0.useless, $0.plans[asked.disk.id]) }
    guard let base else { throw HintRefusal("the receiver holds no point yet") }
    guard let plan = found, let record else { throw HintRefusal(useless ?? "nobody was asked") }
    guard record.receiver == base.receiver, record.reference == base.reference, record.pass == base.pass
    else {
      throw HintRefusal("the record is of point \(record.reference), the receiver holds \(base.reference)")
    }
    guard asked.isBaseMap else {
      throw HintRefusal("the digest map here is not that of the receiver's point")
    }
    if let hint = plan.hint {
      guard hint.contradiction == nil else { throw HintRefusal("it was found wrong in this pass") }
      return hint
    }
    try checkTrust(asked.disk.id, of: identity)
    guard let known = plan.known, known.grid == asked.grid else { throw .noRecord }
    let audit = HintAudit(
      leafCount: asked.grid.leafCount, turn: known.turn, now: view.frozenAt, days: settings.auditDays)
    let hint = ChangeHint(grid: asked.grid, changed: try plan.answer.changed.get(), audit: audit)
    state.withLock { $0.plans[asked.disk.id]?.hint = hint }
    return hint
  }

  func checkTrust(_ disk: DiskID, of provider: String) throws(HintRefusal) {
    do throws(IOError) {
      guard let entry = try shelf.distrust(of: view.vm).entry(of: disk, provider: provider) else { return }
      throw IOError(
        .damaged, "trust", path: "hint",
        detail:
          "what was said of it was found wrong at \(entry.at), at byte \(entry.offset): see that its source "
          + "is in order, then run `repl-sender hint trust`")
    } catch { throw HintRefusal(error.detail ?? "\(error)") }
  }

  private func provider(_ record: HintRecord?) -> any HintProvider {
    if let makeProvider { return makeProvider(view) }
    let isStopping = isStopping
    switch settings.provider {
    case .reflink:
      let names = view.disks.compactMap { disk in disk.fileName.map { (disk.id, $0) } }
      return ReflinkHint(
        request, names: Dictionary(names) { first, _ in first }, kept: record?.kept, isStopping: isStopping)
    case .chain: return ChainHint(frozenAt: view.frozenAt)
    case .command(let spec):
      let subject = HintedView(
        vmxPath: request.vmxPath, vm: view.vm, displayName: view.displayName, tag: view.held?.tag ?? "")
      return CommandHint(spec, subject, isStopping: isStopping)
    case .none: return NoHint()
    }
  }

  // MARK: - After the scan

  /// Disks whose hint was found wrong since this was asked last. They are not trusted any more, durably, and
  /// must be read in full before the pass commits.
  public func newContradictions() -> [DiskID] {
    let blamed: [(id: DiskID, slot: DiskSlot, offset: Int64)] = state.withLock { state in
      var found: [(id: DiskID, slot: DiskSlot, offset: Int64)] = []
      for (id, plan) in state.plans where !plan.isBlamed {
        guard let wrong = plan.hint?.contradiction else { continue }
        state.plans[id]?.isBlamed = true
        found.append((id, plan.slot, wrong.offset))
      }
      return found
    }
    for (id, slot, offset) in blamed.sorted(by: { $0.slot < $1.slot }) {
      report(
        FreezeEvent(
          .error,
          "disk \(slot): the change hint (\(settings.provider.name)) said that the bytes at \(offset) had "
            + "not changed, and they had: all of the disk is read now and from now on; see that the source "
            + "of the hint is in order, then run `repl-sender hint trust`"))
      if distrust(id, slot, offset, provider: identity) {
        state.withLock { $0.plans[id]?.isDistrustKept = true }
      }
    }
    return blamed.map(\.id)
  }

  /// False when it could not be written down.
  @discardableResult func distrust(
    _ disk: DiskID, _ slot: DiskSlot, _ offset: Int64, provider: String
  ) -> Bool {
    let entry = HintDistrust.Entry(
      disk: disk, slot: slot, provider: provider, at: view.frozenAt, offset: offset)
    do throws(IOError) {
      try shelf.add(entry, of: view.vm)
      return true
    } catch {
      report(FreezeEvent(.error, "that a hint was found wrong cannot be written down yet: \(error)"))
      return false
    }
  }

  // MARK: - For people

  /// Whether there are any but what the storage says of holes.
  public var isConfigured: Bool { settings.provider != .none }

  /// Where they come from, as the configuration calls it.
  public var source: String { settings.provider.name }

  /// What became of the hints, disk by disk.
  public var outcomes: [Outcome] {
    let plans = state.withLock { Array($0.plans.values) }
    return plans.sorted { $0.slot < $1.slot }.map { plan in
      Outcome(
        slot: plan.slot, refusal: plan.refusal, changedBytes: plan.hint?.changed.byteCount,
        auditedBytes: plan.hint?.auditedBytes ?? 0,
        contradictionOffset: plan.hint?.contradiction?.offset, holeRefusal: plan.holes?.refusal,
        holeOffset: plan.holes?.offset)
    }
  }

  /// Since when clones are kept for the next pass, and the most that they can take; nil when there are none.
  public var kept: (since: WallTime, bytes: Int64)? {
    state.withLock { $0.kept }.map { ($0.since, $0.allocatedBytes) }
  }

  /// Contradictions since the beginning; nil when that cannot be read.
  public var contradictionCount: UInt64? {
    // For people only: whoever decides asks again and sees the error.
    (try? shelf.distrust(of: view.vm))?.count
  }
}

/// Nothing is ever left out.
private final class NoHint: HintProvider {
  func answer(for disk: ViewDisk, since known: HintRecord.Disk?) -> HintAnswer {
    HintAnswer(changed: .failure(HintRefusal("no hints are configured")), token: nil)
  }
}
