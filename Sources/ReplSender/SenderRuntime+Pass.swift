import Logging
import ReplIO
import ReplModel
import ReplPass
import ReplService
import ReplSource

/// One pass of one VM: who it is, the view, the pass, the disks that seed, the release.
extension SenderRuntime {
  /// On a thread of its own; everything that is known of it ends on the board and in the log.
  /// With `proves`, the pass is asked to end with a proof.
  func performPass(_ vm: SenderConfig.VM, proves: Bool = false) async -> Result<VMID, PassFailure> {
    do {
      return try await NamedThread.run("pass") { [self] in runPass(vm, proves: proves) }
    } catch let error as IOError {
      // There is no thread for it.
      return .failure(note(.io(error), vm, roster[vm.vmxPath]))
    } catch { preconditionFailure("the body does not throw: \(error)") }
  }

  private func runPass(_ vm: SenderConfig.VM, proves: Bool) -> Result<VMID, PassFailure> {
    let began = time.monotonicNanoseconds()
    let id: VMID
    do throws(PassError) { id = try identify(vm) } catch {
      return .failure(note(error, vm, roster[vm.vmxPath]))
    }
    // It moved while its pass under the old path has not ended: the two would share maps and standby.
    guard busy.withLock({ $0.insert(id).inserted }) else { return .failure(stillBusy(vm, id)) }
    defer { busy.withLock { _ = $0.remove(id) } }
    return runPass(vm, id, began: began, proves: proves)
  }

  private func runPass(
    _ vm: SenderConfig.VM, _ id: VMID, began: Int64, proves: Bool
  ) -> Result<VMID, PassFailure> {
    beginFreeze(id)
    let view: VMView
    do throws(PassError) { view = try takeView(vm, id) } catch { return .failure(note(error, vm, id)) }
    let freezeSeconds = Double(time.monotonicNanoseconds() - began) / 1e9
    let result: Result<VMID, PassFailure>
    do throws(PassError) {
      let report = try bring(view, vm, frozen: (began, freezeSeconds), proves: proves)
      seed(report, view, vm, began: began)
      result = .success(view.vm)
    } catch {
      result = .failure(note(error, vm, id))
    }
    release(view, vm)
    // It has left meanwhile: what the pass has kept for the next one is nobody's.
    if !roster.members.contains(where: { $0.vm.vmxPath == vm.vmxPath }) { cleanKeptClones() }
    return result
  }

  /// Not on the board: there stands what the pass that runs says.
  private func stillBusy(_ vm: SenderConfig.VM, _ id: VMID) -> PassFailure {
    let error = SourceError.changed(path: vm.vmxPath, what: "a pass of it under its old path was running")
    return PassFailure(error: .source(error), name: vm.name ?? board[id]?.name ?? vm.vmxPath)
  }

  /// Reads who the VM is, and makes sure that nobody else is it, before anything is frozen.
  private func identify(_ vm: SenderConfig.VM) throws(PassError) -> VMID {
    do throws(SourceError) {
      let (id, _) = try ViewIdentity.read(vmxPath: vm.vmxPath)
      if roster[vm.vmxPath] != id { lookAround() }
      try roster.confirm(vm.vmxPath, as: id)
      return id
    } catch { throw .source(error) }
  }

  private func beginFreeze(_ id: VMID) {
    let now = time.wallTime()
    board.update(id) { status in
      status.state = status.latestPoint == nil ? .seeding : .running
      status.running = VMStatus.Running(
        pass: .random(), phase: "freeze", startedAt: now, doneBytes: 0, totalBytes: 0, wireBytes: 0)
    }
  }

  private func bring(
    _ view: VMView, _ vm: SenderConfig.VM, frozen: (began: Int64, seconds: Double), proves: Bool
  ) throws(PassError) -> SourcePass.Report {
    // The VMX may have been rewritten since it was asked who it is.
    do throws(SourceError) { try roster.confirm(vm.vmxPath, as: view.vm) } catch { throw .source(error) }
    let name = vm.name ?? view.displayName
    said.withLock { $0[view.vm] = [] }
    defer { said.withLock { $0[view.vm] = nil } }
    board.update(view.vm, name: name, peer: "\(config.receiver.address)", rpoSeconds: vm.rpoSeconds) { _ in }
    let hints = makeHints(view, vm)
    let pass = SourcePass(
      view: view, settings: pacedSettings(vm, view.vm), state: state,
      lastEpoch: board[view.vm]?.latestPoint?.reference.epoch, stop: stop, wantsProof: proves, hints: hints,
      freezeSeconds: frozen.seconds, time: time,
      isLate: { [board] in
        let verdict = board[view.vm]?.rpoForecast?.verdict
        return verdict == .atRisk || verdict == .missed
      }
    ) { [board] running in
      board.update(view.vm) { $0.running = running }
    } onCommitted: { [self] report in
      measure(report, view.vm, frozen)
      noteHints(hints, view, name: name)
      noteCommitted(report, view, name: name)
      noteDeadline(vm, view.vm)
    } onTrouble: { [self] error in
      noteTrouble(error, vm: view.vm)
    }
    let report = try pass.run()
    if let proof = report.proof { note(proof, view.vm, name: name) }
    return report
  }

  private func noteCommitted(_ report: SourcePass.Report, _ view: VMView, name: String) {
    board.update(view.vm) { status in
      status.state = .idle
      status.running = nil
      status.lastFailure = nil
      status.lastPass = report.pass
      status.stageSeconds = (status.stageSeconds ?? .init()) + (report.pass.stages ?? .init())
      // A disk that somebody else wrote: no point of it can be started, and the lag goes on rising.
      if !report.isDiverged {
        status.enter(
          VMStatus.Point(
            reference: report.point.reference, frozenAt: report.point.frozenAt, label: report.point.label))
      }
      status.passesCommitted += 1
      status.disks = Self.disks(of: view, deferred: Set(report.deferred), before: status.disks ?? [])
    }
    // A daemon that ends does not wait for it, and a receiver that ends settles after its next start.
    if let problem = report.settleFailure, !problem.isOrderlyEnd {
      noteUnsettled(problem, vm: view.vm, name: name)
    }
    keep(view.vm)
    logger.info(
      "pass-committed",
      metadata: [
        "vm": "\(name)", "pass": "\(report.pass.pass)", "point": "\(report.point.reference)",
        "label": "\(report.point.label.rawValue)",
        "seconds": "\(report.pass.durationSeconds)", "read_bytes": "\(report.pass.readBytes)",
        "changed_bytes": "\(report.pass.changedBytes)", "wire_bytes": "\(report.pass.wireBytes)",
        "settled": "\(report.isSettled)",
        "bottleneck": "\(report.pass.bottleneck?.rawValue ?? "-")",
      ])
  }

  private static func disks(
    of view: VMView, deferred: Set<DiskID>, before: [VMStatus.Disk]
  ) -> [VMStatus.Disk] {
    let present = view.disks.map { disk in
      let isSeeding = deferred.contains(disk.id)
      let seeded = isSeeding ? before.first { $0.disk == disk.id }?.seededBytes ?? 0 : nil
      return VMStatus.Disk(
        slot: disk.slot, disk: disk.id, sizeBytes: disk.image.sizeBytes, state: isSeeding ? .seeding : .ready,
        seededBytes: seeded)
    }
    let excluded = view.excluded.map { VMStatus.Disk(slot: $0, disk: nil, sizeBytes: nil, state: .excluded) }
    return present + excluded
  }

  // MARK: - Disks that were added

  /// How long a seed session may take: until the next pass is due. A VM whose passes take all of its interval
  /// gives its new disks a quarter of one, 30 s at most: without that they would never come to an end.
  static func seedSeconds(interval: Double, gap: Double, passed: Double) -> Double {
    max(gap - passed, min(30, interval / 4))
  }

  /// Goes on with the disks that the pass left out, on the same view, until the next pass is due.
  private func seed(_ report: SourcePass.Report, _ view: VMView, _ vm: SenderConfig.VM, began: Int64) {
    let passed = Double(time.monotonicNanoseconds() - began) / 1e9
    guard !report.deferred.isEmpty, !stop.isSet else { return }
    let session = SeedSession(
      view: view, disks: report.deferred, settings: pacedSettings(vm, view.vm), state: state,
      lastEpoch: report.point.reference.epoch,
      deadlineSeconds: Self.seedSeconds(
        interval: vm.intervalSeconds, gap: terms(of: vm, view.vm).gapSeconds, passed: passed), stop: stop,
      time: time, mustYield: { [self] in isPlaceWanted }
    ) { [board] running in
      board.update(view.vm) { $0.running = running }
    } onTrouble: { [self] error in
      noteTrouble(error, vm: view.vm)
    }
    do throws(PassError) {
      noteSeeded(try session.run(), view)
    } catch { noteSeedFailure(error, vm: view.vm) }
    board.update(view.vm) { $0.running = nil }
    keep(view.vm)
  }

  private func noteSeeded(_ result: SeedSession.Result, _ view: VMView) {
    board.update(view.vm) { status in
      for (index, disk) in (status.disks ?? []).enumerated() {
        guard let seeded = result.disks.first(where: { $0.disk == disk.disk }) else { continue }
        status.disks?[index].seededBytes = seeded.doneBytes
      }
    }
    let disks = result.disks.map { "\($0.slot):\($0.doneBytes)/\($0.totalBytes)" }.joined(separator: " ")
    logger.info(
      "disks-seeded",
      metadata: [
        "vm": "\(board[view.vm]?.name ?? "\(view.vm)")", "disks": "\(disks)",
        "wire_bytes": "\(result.bytesSent)", "complete": "\(result.isRoundComplete)",
      ])
  }

  /// The pass has committed: what fails here delays only the new disks.
  private func noteSeedFailure(_ error: PassError, vm: VMID) {
    if case .stopping = error { return }
    board.update(vm) { status in
      status.lastFailure = VMStatus.Failure(
        at: time.wallTime(), phase: "seed", cause: "\(error)", remedy: error.remedy)
    }
    logger.warning(
      "seed-failed", metadata: ["vm": "\(board[vm]?.name ?? "\(vm)")", "cause": "\(error)"])
  }
}
