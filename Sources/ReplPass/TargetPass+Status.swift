import ReplModel
import ReplStandby

/// What the board and the log learn of a pass.
extension TargetPass {
  func noteRunning(_ phase: String) {
    let running = VMStatus.Running(
      pass: offer.pass, phase: phase, startedAt: startedAt, doneBytes: 0, totalBytes: 0,
      wireBytes: conversation.connection.wireBytesReceived)
    let catalog = standby.catalog
    service.board.update(
      offer.vm, name: catalog.displayName, peer: peer, rpoSeconds: service.settings.rpoSeconds
    ) { status in
      status.running = running
      status.state = phase == "settle" ? .settling : catalog.newest == nil ? .seeding : .running
    }
  }

  func noteCommitted(_ point: RecoveryPoint) {
    let now = service.time.wallTime()
    let pass = VMStatus.Pass(
      pass: offer.pass, startedAt: startedAt, durationSeconds: now.seconds(since: startedAt), readBytes: 0,
      changedBytes: changedBytes, wireBytes: conversation.connection.wireBytesReceived)
    service.board.update(offer.vm) { status in
      status.lastPass = pass
      status.passesCommitted += 1
      status.newestPoint = VMStatus.Point(
        reference: point.reference, frozenAt: point.frozenAt, label: point.label)
    }
    service.report(
      .committed(vm: SafeText.printable(standby.catalog.displayName), peer: peer, point, pass))
  }

  func noteSettled(_ point: RecoveryPoint) {
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

/// Runs an operation of a standby and turns its error into the pass's.
func storing<Value>(_ body: () throws(StandbyError) -> Value) throws(PassError) -> Value {
  do throws(StandbyError) { return try body() } catch { throw .standby(error) }
}
