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
  /// VMs are known by UUID once their VMX was read; before that, by an identity made from the path.
  private let identities = Mutex<[String: VMID]>([:])

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
    for vm in config.vms { identify(vm) }
    board.retain(Set(identities.withLock { $0.values }))
  }

  private static func policy(_ trust: PeerTrust) -> PeerPolicy {
    switch trust {
    case .pinned(let fingerprints):
      PeerPolicy(pinned: fingerprints.map { PeerPolicy.Pin(name: "receiver", fingerprint: $0) })
    case .authority(let caFile, let names):
      PeerPolicy(authority: PeerPolicy.Authority(filePath: caFile, allowedNames: names))
    }
  }

  /// Puts a VM on the board before its first pass, so that one that cannot even be read is seen.
  private func identify(_ vm: SenderConfig.VM) {
    let folder = vm.vmxPath
    let known = try? PoweredOffView.identity(vmxPath: folder)  // unreadable now: its pass will say why
    let seed = SHA256Hasher.hash(Array("vmrepl vmx path".utf8) + Array(folder.utf8)).bytes
    let id = known?.vm ?? VMID(HexText.encode(seed[0..<16]))!
    identities.withLock { $0[folder] = id }
    board.update(id, name: vm.name ?? known?.displayName ?? folder, peer: nil, rpoSeconds: vm.rpoSeconds) {
      _ in
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

  func identity(of vm: SenderConfig.VM) -> VMID? { identities.withLock { $0[vm.vmxPath] } }

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

  private func bring(_ view: VMView, _ vm: SenderConfig.VM) throws(PassError) -> VMID {
    let previous = identities.withLock { $0.updateValue(view.vm, forKey: vm.vmxPath) }
    if previous != view.vm { board.retain(Set(identities.withLock { $0.values })) }
    let name = vm.name ?? view.displayName
    let isFirst = board[view.vm]?.newestPoint == nil
    board.update(view.vm, name: name, peer: "\(config.receiver.address)", rpoSeconds: vm.rpoSeconds) {
      $0.state = isFirst ? .seeding : .running
    }
    let pass = SourcePass(
      view: view, settings: settings, state: state, lastEpoch: board[view.vm]?.newestPoint?.reference.epoch,
      stop: stop, time: time
    ) { [board] running in board.update(view.vm) { $0.running = running } }
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

  /// A failed pass, for the scheduler and for `run --once`.
  struct PassFailure: Error {
    let error: PassError
    let name: String
  }

  private func note(_ error: PassError, _ vm: SenderConfig.VM, began: WallTime) -> PassFailure {
    let id = identities.withLock { $0[vm.vmxPath] }
    let name = vm.name ?? id.flatMap { board[$0]?.name } ?? vm.vmxPath
    if let id {
      board.update(id) { status in
        let phase = status.running?.phase ?? "freeze"
        status.running = nil
        if case .stopping = error {
          status.state = .idle
          return
        }
        status.state = error.remedy == .stopVM ? .stopped : .failing
        status.passesFailed += 1
        status.lastFailure = VMStatus.Failure(
          at: time.wallTime(), phase: phase, cause: "\(error)", remedy: error.remedy)
      }
      keep(id)
    }
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
