import ReplIO
import ReplModel
import ReplStandby
import Synchronization

/// Start-up: what was committed before the last end is settled.
extension TargetService {
  /// Recoveries at the same time: one standby whose storage is slow must not keep the others waiting.
  private static let recoveriesAtOnce = 4

  /// Settles what was committed before the last end; for start-up. A VM that fails does not keep the others,
  /// and a session that comes meanwhile waits for its own VM only.
  public func recover() {
    lookAtStores(waitSeconds: shelf.patienceSeconds)
    let found = recovery.withLock { recovery in
      recovery.hasBegun = true
      return stores.filter { recovery.names.insert($0.name).inserted }
    }
    var threads: [NamedThread] = []
    for (name, store) in found {
      let work: @Sendable () -> Void = { [self] in recover(store, called: name) }
      // One after the other where there is no thread for each.
      if let thread = try? NamedThread.tryStart("recovery", work) { threads.append(thread) } else { work() }
    }
    for thread in threads { thread.join() }
    do throws(StandbyError) { try loadBoard() } catch {
      report(.recovered(store: "", directory: "", .failure(error)))
    }
  }

  /// One that was opened after the start has its recovery then.
  func recoverLate(_ name: String) {
    let isDue = recovery.withLock { $0.hasBegun && $0.names.insert(name).inserted }
    guard isDue, let store = stores.first(where: { $0.name == name })?.store else { return }
    recover(store, called: name)
  }

  private func recover(_ store: StandbyStore, called name: String) {
    do throws(StandbyError) {
      recover(try store.standbys(), of: store, called: name)
    } catch {
      report(.recovered(store: name, directory: "", .failure(error)))
    }
  }

  private func recover(_ summaries: [StandbySummary], of store: StandbyStore, called name: String) {
    let next = Mutex(0)
    let work: @Sendable () -> Void = { [self] in
      while let index = next.withLock({ next in
        defer { next += 1 }
        return next < summaries.count ? next : nil
      }) {
        recover(summaries[index], of: store, called: name)
      }
    }
    let count = min(Self.recoveriesAtOnce, summaries.count)
    // Fewer do as well.
    let threads = (0..<count).compactMap { _ in try? NamedThread.tryStart("recovery", work) }
    // At least one works, be it this one.
    if threads.isEmpty { work() }
    for thread in threads { thread.join() }
  }

  private func recover(_ summary: StandbySummary, of store: StandbyStore, called name: String) {
    guard let vm = summary.catalog?.vm else {
      return tell(store.recover(summary), name, nil)
    }
    let holder = Lease.Holder(
      peer: "", address: "", pass: .random(), since: time.wallTime(), phase: .recovering)
    let claim = Lease.Claim(holder: holder, silentSeconds: { nil }, interrupt: {})
    // A session has it already, and its opening recovers it.
    guard let lease = leases.takeFree(vm, for: claim) else { return }
    defer { lease.end() }
    tell(store.recover(summary), name, vm)
  }

  private func tell(_ result: RecoveryResult, _ store: String, _ vm: VMID?) {
    report(.recovered(store: store, directory: result.directory, result.outcome))
    guard let vm else { return }
    guard case .failure(let error) = result.outcome else {
      guard case .success(.settled) = result.outcome else { return }
      // What failed before has come to a good end.
      board.update(vm) { ($0.lastFailure, $0.state) = (nil, .idle) }
      return
    }
    // A command has the standby, and recovers it as well.
    if case .lockHeld = error { return }
    board.update(vm) { status in
      status.lastFailure = VMStatus.Failure(
        at: time.wallTime(), phase: "recover", cause: "\(error)", remedy: error.remedy)
      status.state = error.remedy == .stopVM ? .stopped : .failing
    }
  }
}
