import Foundation
import Glibc
import ReplModel
import ReplService

/// One call on files of one of the two executables goes wrong, in one of three passes; then everything must
/// be as promised, and the rest of the passes goes through.
struct SyscallSweep {
  enum Victim: String, CaseIterable, CustomStringConvertible {
    case receiver
    case sender
    var description: String { rawValue }
  }

  /// One run. `operation` counts from 1, from the start of the program.
  struct Case: CustomStringConvertible {
    let victim: Victim
    let pass: Int
    let fault: SyscallShim.Fault
    let operation: Int
    var description: String { "\(victim), pass \(pass), \(fault) at call \(operation)" }
  }

  /// How a run went: what it met, and what was not as promised.
  struct Outcome {
    var met: SyscallShim.Call?
    var violations: [String] = []
  }

  let three: ThreePasses
  let shim: SyscallShim
  var lab: Lab { three.lab }

  init(seed: UInt64) throws {
    three = try ThreePasses(seed: seed)
    shim = try SyscallShim(report: "\(three.place.folder)/report")
  }

  func folders(of victim: Victim) -> [String] {
    switch victim {
    case .receiver: ["\(lab.folder)/receiver-state", lab.storeFolder]
    case .sender: ["\(lab.folder)/sender-state"]
    }
  }

  /// The calls that a pass makes when nothing goes wrong, program start and end included.
  func calls(of victim: Victim, pass: Int) throws -> [SyscallShim.Call] {
    try three.restore(before: pass)
    let environment = try shim.counting(beneath: folders(of: victim))
    try lab.startReceiver(environment: victim == .receiver ? environment : [:])
    let result = try lab.startPass(environment: victim == .sender ? environment : [:]).finish(seconds: 60)
    guard result.status == 0 else { throw ToolFailure(text: "an untouched pass failed: \(result.errors)") }
    try waitUntilSettled()
    try lab.stopReceiver()
    return try shim.calls().counted
  }

  /// Every run there is, for a victim and a pass.
  func cases(_ victim: Victim, pass: Int) throws -> [Case] {
    let calls = try calls(of: victim, pass: pass)
    return SyscallShim.Fault.allCases.flatMap { fault in
      calls.filter { fault.applies(to: $0.name) }
        .map { Case(victim: victim, pass: pass, fault: fault, operation: $0.number) }
    }
  }

  // MARK: - One run

  func run(_ each: Case) -> Outcome {
    var outcome = Outcome()
    do {
      try three.restore(before: each.pass)
      let environment = try shim.injecting(
        each.fault, at: each.operation, beneath: folders(of: each.victim))
      let acknowledged =
        switch each.victim {
        case .receiver: try hitReceiver(each, environment)
        case .sender: try hitSender(each, environment)
        }
      let calls = try shim.calls()
      outcome.met = calls.met
      if let path = calls.retriedSync {
        outcome.violations.append("\(each): a sync of \(path) failed, and it was synced again as it was")
      }
      try checkPoint(after: each, acknowledged: acknowledged)
      try goOn(after: each)
    } catch {
      let met = outcome.met.map { "\($0)" } ?? "nothing"
      let log = lab.receiver?.errors ?? "-"
      outcome.violations.append("\(each): \(error)\nmet: \(met)\nreceiver: \(log)")
    }
    return outcome
  }

  /// Runs the pass while the receiver is hit; true when the commit was acknowledged. Afterwards a receiver
  /// without the shim runs, which has recovered.
  private func hitReceiver(_ each: Case, _ environment: [String: String]) throws -> Bool {
    var isDown = false
    do { try lab.startReceiver(environment: environment) } catch {
      // Hit before it listened: it must have ended, and not hang.
      guard lab.receiver?.process.isRunning == false else { throw error }
      isDown = true
    }
    let pass = try lab.startPass()
    try eventually(seconds: 60, "the pass or the receiver ends") {
      isDown = isDown || lab.receiver?.process.isRunning == false
      return isDown || !pass.process.isRunning
    }
    var acknowledged = false
    if !isDown {
      let result = try pass.finish(seconds: 1)
      acknowledged = result.status == 0
      if acknowledged { try waitUntilSettledOrTold() } else { try checkIsRed(each, result) }
      try lab.stopReceiver()
    }
    try restartReceiver()
    guard pass.process.isRunning else { return acknowledged }
    // Every other sender lives through it and goes on by itself; the others die in the same moment.
    if each.operation.isMultiple(of: 2) {
      let result = try pass.finish(seconds: 60)
      guard result.status == 0 else {
        throw ToolFailure(text: "the sender did not go on by itself: \(result.status) \(result.errors)")
      }
      try waitUntilSettled()
      return true
    }
    pass.signal(SIGKILL)
    try pass.finish(seconds: 10)
    try restartReceiver()
    return acknowledged
  }

  /// Runs the pass while the sender is hit; true when it said that it is committed.
  private func hitSender(_ each: Case, _ environment: [String: String]) throws -> Bool {
    try lab.startReceiver()
    let result = try lab.startPass(environment: environment).finish(seconds: 60)
    let acknowledged = result.status == 0
    if try shim.calls().met == nil || each.fault.isHarmless, !acknowledged {
      throw ToolFailure(text: "the pass had to go through: \(result.status) \(result.errors)")
    }
    if !acknowledged && !each.fault.kills { try checkIsRed(each, result) }
    try eventually("nothing is settling after \(each)") { (try? three.vm.standby()) != nil }
    return acknowledged
  }

  func restartReceiver() throws {
    if lab.receiver != nil { try lab.stopReceiver(SIGKILL) }
    try lab.startReceiver()
    try eventually("recovery") { lab.receiver?.errors.contains(" recovered standbys=") == true }
  }

  private var settledCount: Int {
    (lab.receiver?.errors.components(separatedBy: " point-settled ").count ?? 1) - 1
  }

  private func waitUntilSettled() throws {
    try eventually("the point is settled") { settledCount > 0 || (try? three.vm.standby().version) != nil }
  }

  /// After an acknowledged commit: it is settled, or the receiver died, or it says what is wrong.
  func waitUntilSettledOrTold() throws {
    try eventually("the point is settled, or it is said why not") {
      settledCount > 0 || lab.receiver?.process.isRunning == false
        || lab.receiver?.errors.contains(" session-ended ") == true
    }
  }

  /// P4: an error that ends a pass names VM, phase and cause.
  private func checkIsRed(_ each: Case, _ result: ToolResult) throws {
    guard !each.fault.isHarmless else {
      throw ToolFailure(text: "the pass had to go through: \(result.status) \(result.errors)")
    }
    guard result.errors.contains("repl-sender: ") else {
      throw ToolFailure(text: "ended with \(result.status) and no sentence: \(result.errors)")
    }
    // Before its VMs are known there is nothing to say of one.
    guard !result.output.isEmpty, let status = try StatusJSON.decode(Array(result.output.utf8)).vms.first
    else {
      return
    }
    guard status.name == lab.vmName, let failure = status.lastFailure, !failure.phase.isEmpty,
      !failure.cause.isEmpty
    else { throw ToolFailure(text: "failed, and does not say why: \(result.output)") }
  }

  // MARK: - What must hold

  /// P1 and P2: exactly one version, and the one whose commit was acknowledged is not lost.
  func checkPoint(after each: Case, acknowledged: Bool) throws {
    let standby = try three.vm.standby()
    let expected = acknowledged ? each.pass...each.pass : (each.pass - 1)...each.pass
    guard expected.contains(standby.version), Int(standby.number) == standby.version else {
      throw ToolFailure(
        text: "the standby is \(standby), expected version \(expected), acknowledged: \(acknowledged)")
    }
    try three.vm.checkPoints(newest: standby.version)
  }

  /// P7: this pass and the next one go through, with nobody doing anything.
  func goOn(after each: Case) throws {
    for version in each.pass...min(each.pass + 1, ThreePasses.count) {
      if version > each.pass { try three.vm.writeVersion(version) }
      try lab.pass()
      try waitUntilSettled()
      var found: VersionedVM.Standby?
      try eventually("version \(version) at the standby") {
        found = try? three.vm.standby()
        return found?.version == version
      }
    }
    let folder = try lab.standbyFolder
    let left = try FileManager.default.contentsOfDirectory(atPath: "\(folder)/.repl/journal")
    guard left.isEmpty else { throw ToolFailure(text: "journals are left: \(left)") }
  }
}
