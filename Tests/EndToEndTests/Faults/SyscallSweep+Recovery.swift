import Foundation
import Glibc

extension SyscallSweep {
  /// Kills the receiver at a call of a pass, then its recovery at the first call, the next one at the
  /// second, and so on until a recovery comes to its end. Answers how many were killed.
  func killRecoveries(pass number: Int, operation: Int) -> (killed: Int, violations: [String]) {
    var killed = 0
    do {
      try three.restore(before: number)
      let victim = Case(victim: .receiver, pass: number, fault: .killBefore, operation: operation)
      let environment = try shim.injecting(.killBefore, at: operation, beneath: folders(of: .receiver))
      let acknowledged = try dieTogether(environment)
      guard try shim.calls().met != nil else { return (0, []) }
      while try recoveryIsKilled(at: killed + 1) { killed += 1 }
      try restartReceiver()
      try checkPoint(after: victim, acknowledged: acknowledged)
      try goOn(after: victim)
      return (killed, [])
    } catch {
      let context = "pass \(number), killed at call \(operation), then \(killed) recoveries"
      return (killed, ["\(context): \(error)\nreceiver: \(lab.receiver?.errors ?? "-")"])
    }
  }

  /// A pass in which the receiver is killed, and the sender with it; true when the commit was acknowledged
  /// before.
  private func dieTogether(_ environment: [String: String]) throws -> Bool {
    do { try lab.startReceiver(environment: environment) } catch {
      guard lab.receiver?.process.isRunning == false else { throw error }
      return false
    }
    let pass = try lab.startPass()
    try eventually(seconds: 60, "the pass or the receiver ends") {
      lab.receiver?.process.isRunning == false || !pass.process.isRunning
    }
    if !pass.process.isRunning { try waitUntilSettledOrTold() }
    let acknowledged = !pass.process.isRunning && pass.process.terminationStatus == 0
    pass.signal(SIGKILL)
    try pass.finish(seconds: 10)
    try lab.stopReceiver()
    return acknowledged
  }

  /// False when the recovery makes fewer calls on what belongs to the standby.
  private func recoveryIsKilled(at operation: Int) throws -> Bool {
    if lab.receiver != nil { try lab.stopReceiver(SIGKILL) }
    let fault: SyscallShim.Fault = operation.isMultiple(of: 3) ? .torn : .killBefore
    let folders = [lab.storeFolder, "\(lab.folder)/receiver-state/maps"]
    do {
      try lab.startReceiver(environment: shim.injecting(fault, at: operation, beneath: folders))
    } catch {
      guard lab.receiver?.process.isRunning == false else { throw error }
    }
    try eventually("the recovery ends, or is ended") {
      lab.receiver?.process.isRunning == false
        || lab.receiver?.errors.contains(" recovered standbys=") == true
    }
    // It says so after its last call; what is met at that moment ends it a moment later.
    if try shim.calls().met == nil { return false }
    try eventually("the end of the receiver") { lab.receiver?.process.isRunning == false }
    return true
  }
}
