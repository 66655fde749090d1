import ReplDigest
import ReplIO
import ReplModel
import ReplProtocol
import ReplSource
import Synchronization

/// Goes on with the first copies of disks that were added to a VM, on the view of a pass that has committed
/// without them (`SourcePass.Report.deferred`), until its deadline comes.
///
/// Disk after disk, each in rounds from its first page to its last; where a round was when a session ended is
/// kept as a hint. A round within one session makes the disk complete: the next pass takes it in, and sends
/// what has changed since. A disk that takes longer to read than sessions last is complete after two rounds:
/// the second brought what changed during the first, and a third would take as long as the second. The pass
/// that takes the disk in compares all of it, so nothing here has to be right. Blocks; runs on a thread of
/// its own.
public final class SeedSession: Sendable {
  /// How far a session came.
  public struct Result: Sendable {
    /// One disk.
    public struct Disk: Sendable, Hashable {
      public let disk: DiskID
      public let slot: DiskSlot
      /// How much of it the receiver has seen: what it needs to hold is no more than this.
      public let doneBytes: Int64
      public let totalBytes: Int64
      /// The next pass takes it in.
      public let isComplete: Bool

      public init(disk: DiskID, slot: DiskSlot, doneBytes: Int64, totalBytes: Int64, isComplete: Bool) {
        self.disk = disk
        self.slot = slot
        self.doneBytes = doneBytes
        self.totalBytes = totalBytes
        self.isComplete = isComplete
      }
    }

    /// Put on the wire (TLS records included).
    public let bytesSent: Int64
    /// In the order of the view.
    public let disks: [Disk]
    /// Every disk is complete: no further session is needed.
    public var isRoundComplete: Bool { disks.allSatisfy(\.isComplete) }
  }

  let id = PassID.random()
  let view: VMView
  let settings: SourceSettings
  let state: SourceState
  let time: any TimeSource
  let link: SourceLink
  let end: SeedEnd
  private let disks: [ViewDisk]
  private let progress: @Sendable (VMStatus.Running) -> Void
  private let startedAt: WallTime
  private let shared: Mutex<Shared>

  private struct Shared {
    var phase = "connect"
    var lastEpoch: Epoch?
    var record: SeedRecord?
    /// Of the disks before the one that is under way.
    var doneBytes: Int64 = 0
    var roundBytes: Int64 = 0
  }

  /// `disks` are those that the pass left out. The session ends in order after `deadlineSeconds`, when `stop`
  /// is set, when the view's files changed, and when `mustYield`, asked a few times a second, says that its
  /// place is needed. `onTrouble` is called for every connection that failed and is tried again, `progress`
  /// a few times a second at most.
  public init(
    view: VMView, disks: [DiskID], settings: SourceSettings, state: SourceState, lastEpoch: Epoch?,
    deadlineSeconds: Double, stop: StopSignal, time: any TimeSource,
    mustYield: @escaping @Sendable () -> Bool = { false },
    progress: @escaping @Sendable (VMStatus.Running) -> Void,
    onTrouble: @escaping @Sendable (PassError) -> Void = { _ in }
  ) {
    self.view = view
    self.disks = view.disks.filter { disks.contains($0.id) }
    self.settings = settings
    self.state = state
    self.time = time
    self.progress = progress
    link = SourceLink(settings: settings, onTrouble: onTrouble)
    end = SeedEnd(
      view: view, deadlineSeconds: deadlineSeconds, stop: stop, mustYield: mustYield, time: time)
    startedAt = time.wallTime()
    shared = Mutex(
      Shared(lastEpoch: lastEpoch, record: state.seedRecord(of: view.vm, at: "\(settings.receiver)")))
  }

  /// Runs to the end of all rounds or of the session. What was reached is kept also when it throws.
  public func run() throws(PassError) -> Result {
    try end.begin()
    defer { end.end() }
    for disk in disks {
      while !end.isDue.isSet, try goOn(with: disk) {}
      shared.withLock { $0.doneBytes += disk.image.sizeBytes }
    }
    return Result(bytesSent: link.sentBytes, disks: disks.map(describe))
  }

  /// One round; false when the disk needs no more.
  private func goOn(with disk: ViewDisk) throws(PassError) -> Bool {
    var seed = self.seed(of: disk)
    if seed.root != nil { return false }
    let first = seed.nextLeaf
    let (outcome, failure) = SeedRound(disk, startingAt: first, in: self).run()
    seed.nextLeaf = outcome.nextLeaf
    if let root = outcome.root {
      seed.nextLeaf = 0
      seed.wholeRounds += 1
      if first == 0 || seed.wholeRounds >= 2 { seed.root = root }
    }
    try keep(seed, after: failure)
    if let failure { throw failure }
    return seed.root == nil
  }

  private func seed(of disk: ViewDisk) -> SeedRecord.Seed {
    let grid = SourceDisks([disk], pageSizeBytes: settings.pageSizeBytes).grids[0]
    let fresh = SeedRecord(receiver: ReceiverID(high: 0, low: 0), members: [])
    return (shared.withLock { $0.record } ?? fresh).seed(disk.id, grid: grid)
  }

  private func keep(_ seed: SeedRecord.Seed, after failure: PassError?) throws(PassError) {
    let record = shared.withLock { shared in
      if case .wire(.peer(ErrorNumber.notSeeding.rawValue, _, _)) = failure {
        // The receiver knows better which disks its point holds: the next pass asks it.
        shared.record?.members = []
        shared.record?.seeds = []
      } else {
        shared.record?.put(seed)
      }
      return shared.record
    }
    guard let record else { return }
    try state.keep(record, of: view.vm, at: "\(settings.receiver)")
  }

  private func describe(_ disk: ViewDisk) -> Result.Disk {
    let (seed, total) = (seed(of: disk), disk.image.sizeBytes)
    let leafBytes = Int64(settings.pageSizeBytes * PageGrid.pagesPerLeaf)
    let done = seed.wholeRounds > 0 ? total : min(total, seed.nextLeaf * leafBytes)
    return Result.Disk(
      disk: disk.id, slot: disk.slot, doneBytes: done, totalBytes: total, isComplete: seed.root != nil)
  }

  // MARK: - For the rounds

  func makeOffer(_ disks: [Offer.Disk]) -> Offer {
    Offer(
      purpose: .seed, vm: view.vm, displayName: view.displayName, pass: id, view: view.id,
      frozenAt: view.frozenAt, label: view.label, epoch: shared.withLock { $0.lastEpoch }, disks: disks,
      vmxHash: SHA256Hasher.hash(view.vmx), nvramHash: view.nvram.map { SHA256Hasher.hash($0) })
  }

  /// The receiver's answer is what the record is about from now on.
  func note(_ accept: Accept) {
    shared.withLock { shared in
      shared.lastEpoch = accept.epoch
      if shared.record?.receiver != accept.receiver {
        shared.record = SeedRecord(receiver: accept.receiver, members: [])
      }
      shared.record?.enter(members: accept.newest?.disks ?? [])
    }
  }

  func setPhase(_ phase: String) {
    shared.withLock { $0.phase = phase }
    publish(bytes: nil)
  }

  /// `bytes` of the disk that is under way are dealt with.
  func publish(bytes: Int64?) {
    let total = disks.reduce(0) { $0 + $1.image.sizeBytes }
    let (phase, done) = shared.withLock { shared in
      shared.roundBytes = bytes ?? shared.roundBytes
      return (shared.phase, min(total, shared.doneBytes + shared.roundBytes))
    }
    progress(
      VMStatus.Running(
        pass: id, phase: phase, startedAt: startedAt, doneBytes: done, totalBytes: total,
        wireBytes: link.sentBytes))
  }
}
