import ReplModel
import ReplProtocol
import ReplStandby

/// What the board and the log learn of a pass.
extension TargetPass {
  func noteRunning(_ phase: String) {
    lease.enter(phase == "settle" ? .settling : .receiving)
    let isSeed = offer.purpose == .seed
    let running = VMStatus.Running(
      pass: offer.pass, phase: phase, startedAt: startedAt,
      doneBytes: isSeed ? seededBytes.reduce(0, +) : 0,
      totalBytes: isSeed ? offer.grids.reduce(0) { $0 + $1.sizeBytes } : 0,
      wireBytes: conversation.connection.wireBytesReceived)
    let catalog = standby.catalog
    let seeding = seedingDisks
    service.board.update(
      offer.vm, name: catalog.displayName, peer: peer, rpoSeconds: service.settings.rpoSeconds
    ) { [agreement] status in
      status.running = running
      status.clockSkewSeconds = agreement.clockSkewSeconds
      status.enter(seeding)
      // A seed says nothing about the VM's points: a failure of the last pass stays to be seen.
      if isSeed && [.failing, .stopped].contains(status.state) { return }
      // Nobody overlooks it because passes run.
      if catalog.suspicion != nil { return status.state = .suspect }
      status.state = phase == "settle" ? .settling : catalog.newest == nil ? .seeding : .running
    }
  }

  /// Notes how far a seed has come: the source reads from the first page to the last.
  func noteArrived(_ batch: Batch) {
    guard offer.purpose == .seed, let last = batch.runs.last else { return }
    let end = offer.grids[batch.diskIndex].bytes(of: last.pages).end
    seededBytes[batch.diskIndex] = max(seededBytes[batch.diskIndex], end)
  }

  private var seedingDisks: [VMStatus.Disk] {
    guard offer.purpose == .seed else { return [] }
    return zip(offer.disks, seededBytes).map { disk, bytes in
      VMStatus.Disk(
        slot: disk.slot, disk: disk.disk, sizeBytes: disk.grid.sizeBytes, state: .seeding, seededBytes: bytes)
    }
  }

  /// The source has left in order, without a commit.
  func noteLeft() {
    let (catalog, seeding) = (standby.catalog, seedingDisks)
    service.board.update(offer.vm) { status in
      status.running = nil
      status.describe(catalog, isSettling: false)
      status.enter(seeding)
    }
    service.keepStatus(offer.vm)
  }

  func noteCommitted(_ point: RecoveryPoint) {
    let now = service.time.wallTime()
    let pass = VMStatus.Pass(
      pass: offer.pass, startedAt: startedAt, durationSeconds: now.seconds(since: startedAt), readBytes: 0,
      changedBytes: received.changedBytes, wireBytes: conversation.connection.wireBytesReceived)
    service.board.update(offer.vm) { status in
      status.lastPass = pass
      status.passesCommitted += 1
      status.enter(
        VMStatus.Point(reference: point.reference, frozenAt: point.frozenAt, label: point.label))
    }
    service.report(
      .committed(vm: SafeText.printable(standby.catalog.displayName), peer: peer, point, pass))
  }

  func noteDropped(_ dropped: [(point: PointReference, reason: DropReason)], overBudgetBytes: Int64) {
    if dropped.isEmpty && overBudgetBytes == 0 { return }
    let catalog = standby.catalog
    service.board.update(offer.vm) { $0.describe(catalog, isSettling: false) }
    service.report(
      .pointsDropped(
        vm: SafeText.printable(catalog.displayName), dropped, overBudgetBytes: overBudgetBytes))
  }

  func noteSettled(_ point: RecoveryPoint) {
    lease.enter(.settled)
    let catalog = standby.catalog
    service.board.update(offer.vm) { status in
      status.running = nil
      status.lastFailure = nil
      status.state = .idle
      status.describe(catalog, isSettling: false)
    }
    service.keepStatus(offer.vm)
    service.report(.settled(vm: SafeText.printable(catalog.displayName), point.reference))
  }

  func noteFailure(_ error: PassError) {
    let catalog = standby.catalog
    // Somebody else's sender says nothing about this VM.
    if case .standby(.notYours) = error { return }
    service.board.update(
      offer.vm, name: catalog.displayName, peer: catalog.owner, rpoSeconds: service.settings.rpoSeconds
    ) { status in
      let phase = status.running?.phase ?? "offer"
      status.running = nil
      if error.isOrderlyEnd {
        status.describe(catalog, isSettling: false)
        return
      }
      status.passesFailed += 1
      status.lastFailure = VMStatus.Failure(
        at: service.time.wallTime(), phase: phase, cause: "\(error)", remedy: error.remedy)
      status.state = error.remedy == .stopVM ? .stopped : .failing
      status.describe(catalog, isSettling: false)
    }
    service.keepStatus(offer.vm)
  }
}

extension VMStatus {
  /// Shows these disks in place of what was known of them.
  fileprivate mutating func enter(_ found: [Disk]) {
    if found.isEmpty { return }
    let others = (disks ?? []).filter { known in !found.contains { $0.disk == known.disk } }
    disks = (others + found).sorted { $0.slot < $1.slot }
  }
}

/// Runs an operation of a standby and turns its error into the pass's.
func storing<Value>(_ body: () throws(StandbyError) -> Value) throws(PassError) -> Value {
  do throws(StandbyError) { return try body() } catch { throw .standby(error) }
}
