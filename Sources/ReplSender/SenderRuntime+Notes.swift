import Logging
import ReplModel
import ReplPass
import ReplService

/// What is told of passes that do not go well.
extension SenderRuntime {
  /// A pass has a handful of troubles; what comes later is seen on the board.
  private static let saidLimit = 16

  /// A failed pass, for the scheduler and for `run --once`.
  struct PassFailure: Error {
    let error: PassError
    let name: String
  }

  /// The point exists in the receiver's journal and its disks do not hold it yet: for people to see.
  func noteUnsettled(_ error: PassError, vm: VMID, name: String) {
    let cause =
      "the recovery point is committed, but the receiver has not brought it into the disks: \(error)"
    board.update(vm) { status in
      status.state = error.remedy == .stopVM ? .stopped : .failing
      status.lastFailure = VMStatus.Failure(
        at: time.wallTime(), phase: "settle", cause: cause, remedy: error.remedy)
    }
    logger.warning("point-not-settled", metadata: ["vm": "\(name)", "cause": "\(error)"])
  }

  /// A connection failed and the pass takes it up again: seen at once, although the pass goes on.
  func noteTrouble(_ error: PassError, vm: VMID) {
    let cause = "\(error)"
    board.update(vm) { status in
      status.lastFailure = VMStatus.Failure(
        at: time.wallTime(), phase: status.running?.phase ?? "connect", cause: cause, remedy: error.remedy)
    }
    let isNews = said.withLock { said in
      guard said[vm, default: []].count < Self.saidLimit else { return false }
      return said[vm, default: []].insert(cause).inserted
    }
    guard isNews else { return }
    logger.warning(
      "pass-interrupted", metadata: ["vm": "\(board[vm]?.name ?? vm.description)", "cause": "\(cause)"])
  }

  /// The receiver's clock minus ours.
  func noteClockSkew(_ seconds: Double, vm: VMID) {
    board.update(vm) { $0.clockSkewSeconds = seconds }
    let peer = "\(config.receiver.address)"
    guard clockSkew.mustWarn(of: seconds, peer: peer, now: time.monotonicNanoseconds()) else { return }
    logger.warning(
      "clocks-differ",
      metadata: ["peer": "\(peer)", "peer_ahead_seconds": "\(seconds)", "next": "\(ClockSkew.advice)"])
  }

  /// A pass ended without a commit.
  func note(_ error: PassError, _ vm: SenderConfig.VM, _ id: VMID) -> PassFailure {
    let name = vm.name ?? board[id]?.name ?? vm.vmxPath
    board.update(id) { status in
      let phase = status.running?.phase ?? "freeze"
      status.running = nil
      if case .stopping = error {
        status.state = status.restingState
        return
      }
      status.state = error.remedy == .stopVM ? .stopped : .failing
      status.passesFailed += 1
      status.lastFailure = VMStatus.Failure(
        at: time.wallTime(), phase: phase, cause: "\(error)", remedy: error.remedy)
    }
    keep(id)
    if case .stopping = error {
      logger.info("pass-suspended", metadata: ["vm": "\(name)"])
      return PassFailure(error: error, name: name)
    }
    let isOver = error.remedy == .stopVM
    logger.log(
      level: isOver ? .error : .warning, "pass-failed",
      metadata: ["vm": "\(name)", "remedy": "\(error.remedy.rawValue)", "cause": "\(error)"])
    return PassFailure(error: error, name: name)
  }
}
