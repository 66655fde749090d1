import Logging
import ReplDigest
import ReplIO
import ReplModel
import ReplPass
import ReplService
import ReplSource
import ReplTLS
import ReplTransport
import Synchronization

/// Everything a running sender consists of: one value for the daemon and for `run --once`.
final class SenderRuntime: Sendable {
  let config: SenderConfig
  let board: StatusBoard
  let stop = StopSignal()
  let time = SystemTime()
  let logger: Logger
  private let state: SourceState
  private let settings: SourceSettings
  private let lock: FileLock
  private let identities: VMIdentities
  /// What was said of passes that run, so that it is said once.
  private let said = Mutex<[VMID: Set<String>]>([:])
  /// A pass has a handful of troubles; what comes later is seen on the board.
  private static let saidLimit = 16

  init(config: SenderConfig, output: LogOutput) throws {
    self.config = config
    logger = output.logger(label: "repl-sender")
    let directory = try StateDirectory.open(path: config.stateDirectory)
    lock = try directory.lock()
    let identity = try TLSIdentity.load(in: "\(config.stateDirectory)/identity")
    let tls = try TLSContext(role: .client, identity: identity, policy: Self.policy(config.receiver.trust))
    state = try SourceState(root: directory.directory)
    board = try StatusBoard(directory: try directory.directory.createDirectory("status"))
    settings = SourceSettings(
      receiver: HostPort(host: config.receiver.address.host, port: UInt16(config.receiver.address.port)),
      tls: tls,
      productVersion: ProductVersion.current, pageSizeBytes: config.pageSizeBytes,
      compression: SourceSettings.Compression(rawValue: config.compression.rawValue) ?? .auto)
    identities = VMIdentities(config.vms, directory: directory.directory)
    identities.show(on: board)
    keepIdentities()
  }

  private static func policy(_ trust: PeerTrust) -> PeerPolicy {
    switch trust {
    case .pinned(let fingerprints):
      PeerPolicy(pinned: fingerprints.map { PeerPolicy.Pin(name: "receiver", fingerprint: $0) })
    case .authority(let caFile, let names):
      PeerPolicy(authority: PeerPolicy.Authority(filePath: caFile, allowedNames: names))
    }
  }

  func document(daemonRunning: Bool) -> StatusDocument {
    StatusDocument(
      role: .sender, version: ProductVersion.current, daemonRunning: daemonRunning,
      generatedAt: time.wallTime(), vms: board.all)
  }

  /// One line for `systemctl status`.
  var summary: String {
    let vms = board.all
    let running = vms.count { $0.running != nil }
    let failing = vms.count { $0.lastFailure != nil }
    return "\(vms.count) VM(s), \(running) passes running, \(failing) failing"
  }

  func identity(of vm: SenderConfig.VM) -> VMID { identities[vm.vmxPath] }

  /// One pass of one VM, on a thread of its own; everything that is known of it ends on the board and in the
  /// log.
  func performPass(_ vm: SenderConfig.VM) async -> Result<VMID, PassFailure> {
    let began = time.wallTime()
    do {
      return try await NamedThread.run("pass") { [self] in
        do throws(PassError) {
          let view = try takeView(vm)
          return .success(try bring(view, vm))
        } catch {
          return .failure(note(error, vm, began: began))
        }
      }
    } catch { preconditionFailure("the body does not throw: \(error)") }
  }

  private func takeView(_ vm: SenderConfig.VM) throws(PassError) -> VMView {
    do throws(SourceError) {
      return try PoweredOffView(vmxPath: vm.vmxPath, allowFuzzy: vm.freeze.allowFuzzy, time: time).take()
    } catch { throw .source(error) }
  }

  /// The VMX was read: the VM is known from now on, and belongs to no other path.
  private func learn(_ id: VMID, of vm: SenderConfig.VM) throws(PassError) {
    let before = identities[vm.vmxPath]
    var refusal: SourceError?
    do throws(SourceError) { try identities.claim(vm.vmxPath, as: id) } catch { refusal = error }
    if identities[vm.vmxPath] != before {
      identities.show(on: board)
      keepIdentities()
    }
    if let refusal { throw .source(refusal) }
  }

  private func keepIdentities() {
    do throws(IOError) {
      try identities.keep()
      try identities.removeStandIns(from: board)
    } catch {
      logger.warning("status-not-kept", metadata: ["cause": "\(error)"])
    }
  }

  private func bring(_ view: VMView, _ vm: SenderConfig.VM) throws(PassError) -> VMID {
    try learn(view.vm, of: vm)
    let name = vm.name ?? view.displayName
    said.withLock { $0[view.vm] = [] }
    defer { said.withLock { $0[view.vm] = nil } }
    let isFirst = board[view.vm]?.newestPoint == nil
    board.update(view.vm, name: name, peer: "\(config.receiver.address)", rpoSeconds: vm.rpoSeconds) {
      $0.state = isFirst ? .seeding : .running
    }
    let pass = SourcePass(
      view: view, settings: settings, state: state, lastEpoch: board[view.vm]?.newestPoint?.reference.epoch,
      stop: stop, time: time
    ) { [board] running in
      board.update(view.vm) { $0.running = running }
    } onTrouble: { [self] error in
      noteTrouble(error, vm: view.vm)
    }
    let report = try pass.run()
    board.update(view.vm) { status in
      status.state = .idle
      status.running = nil
      status.lastFailure = nil
      status.lastPass = report.pass
      status.newestPoint = VMStatus.Point(
        reference: report.point.reference, frozenAt: report.point.frozenAt, label: report.point.label)
      status.passesCommitted += 1
    }
    if let problem = report.settleFailure { noteUnsettled(problem, vm: view.vm, name: name) }
    keep(view.vm)
    logger.info(
      "pass-committed",
      metadata: [
        "vm": "\(name)", "pass": "\(report.pass.pass)", "point": "\(report.point.reference)",
        "seconds": "\(report.pass.durationSeconds)", "read_bytes": "\(report.pass.readBytes)",
        "changed_bytes": "\(report.pass.changedBytes)", "wire_bytes": "\(report.pass.wireBytes)",
        "settled": "\(report.isSettled)",
      ])
    return view.vm
  }

  /// The point exists in the receiver's journal and its disks do not hold it yet: for people to see.
  private func noteUnsettled(_ error: PassError, vm: VMID, name: String) {
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

  /// A failed pass, for the scheduler and for `run --once`.
  struct PassFailure: Error {
    let error: PassError
    let name: String
  }

  private func note(_ error: PassError, _ vm: SenderConfig.VM, began: WallTime) -> PassFailure {
    let id = identities[vm.vmxPath]
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

  private func keep(_ vm: VMID) {
    do throws(IOError) { try board.keep(vm) } catch {
      logger.warning("status-not-kept", metadata: ["cause": "\(error)"])
    }
  }
}
