import Glibc
import ReplIO
import ReplModel
import ReplPass
import ReplProtocol
import ReplService
import ServiceLifecycle

/// `run --once`: one pass of each VM, one after the other; the exit code says how it went.
struct OncePasses {
  let runtime: SenderRuntime
  let only: String?
  let json: Bool
  let showsProgress: Bool
  /// Each pass ends with a proof, and what that found is the result.
  var proves = false

  /// Runs the passes; SIGTERM and SIGINT end them in order.
  func run() async throws {
    let service = OnceService(passes: self)
    let group = ServiceGroup(
      configuration: ServiceGroupConfiguration(
        services: [.init(service: service, successTerminationBehavior: .gracefullyShutdownGroup)],
        gracefulShutdownSignals: [.sigterm, .sigint], logger: runtime.logger))
    try await group.run()
  }

  fileprivate func runAll() async throws {
    await runtime.begin()
    await runtime.cleanUp()
    let selected = runtime.roster.members.map(\.vm).filter(matches)
    guard !selected.isEmpty || only == nil else { throw unknown(only ?? "") }
    var done: [VMStatus] = []
    var codes: [ReplService.ExitCode] = []
    if only == nil { codes += sayWhatIsMissing(&done) }
    for vm in selected {
      guard !runtime.stop.isSet else {
        codes.append(.failed)
        break
      }
      let result = await pass(vm)
      if proves, case .success(let id) = result {
        codes += try sayProof(id)
        continue
      }
      let status = runtime.board[runtime.identity(of: vm)]
      if let status { done.append(status) }
      switch result {
      case .success:
        if let status, !json, status.lastFailure?.phase != "settle" { print(Self.sentence(status)) }
        if let status { codes += Self.sayWhatElse(status) }
      case .failure(let failure):
        Self.complain(Self.sentence(failure))
        codes.append(Self.exitCode(failure.error))
      }
    }
    if json, !proves { try printJSON(done) }
    if let worst = Self.worst(codes) { throw Failure.silent(worst) }
  }

  /// What keeps VMs from being protected is part of how a run over all went.
  private func sayWhatIsMissing(_ done: inout [VMStatus]) -> [ReplService.ExitCode] {
    for warning in runtime.warnings { Self.complain("warning: \(warning)") }
    let found = runtime.roster.found.count
    if found > 0 {
      Self.complain("\(found) VM(s) found and not protected: see `repl-sender discover`")
    }
    let gone = runtime.roster.gone
    for vm in gone {
      Self.complain("\(runtime.board[vm.vm]?.name ?? vm.name): \(vm.cause)")
      if let status = runtime.board[vm.vm] { done.append(status) }
    }
    return gone.isEmpty && !runtime.roster.isIncomplete && !runtime.hasStrayLeftovers ? [] : [.failed]
  }

  /// Names, paths and causes come from outside.
  static func complain(_ sentence: String) {
    Terminal.complain("repl-sender: \(SafeText.printable(sentence, limit: 4096))\n")
  }

  /// The point is there, and something else is wrong: a guest that was not thawed, a point that is not in the
  /// standby's disks, an added disk that is not copied, or a copy that the receiver wanted proven and is not,
  /// is nothing to end green with.
  private static func sayWhatElse(_ status: VMStatus) -> [ReplService.ExitCode] {
    let name = SafeText.printable(status.name)
    if let failure = status.lastFailure { complain("\(name): \(failure.phase): \(failure.cause)") }
    if let left = status.leftovers, left != status.lastFailure?.cause {
      complain("\(name): left behind: \(left)")
    }
    return isGreen(status) ? [] : [.failed]
  }

  /// Of a VM whose pass has committed.
  static func isGreen(_ status: VMStatus) -> Bool {
    let phases = ["freeze", "settle", "seed", "prove"]
    return status.leftovers == nil && status.lastFailure.map { !phases.contains($0.phase) } ?? true
  }

  private func unknown(_ name: String) -> any Error {
    let shown = SafeText.printable(name)
    if let found = runtime.roster.found.first(where: { $0.name == name || $0.path == name }) {
      return Failure.exit(
        .usage, "\(shown) is found and not protected: put this beneath vms: \(ConfigLine.vm(found.path))")
    }
    let known = runtime.roster.members.compactMap { runtime.board[runtime.identity(of: $0.vm)]?.name }
    let list = known.isEmpty ? "no VM" : known.joined(separator: ", ")
    return Failure.exit(.usage, "no VM is called \(shown): the configuration and its folders have \(list)")
  }

  private func matches(_ vm: SenderConfig.VM) -> Bool {
    guard let only else { return true }
    let id = runtime.identity(of: vm)
    let name = runtime.board[id]?.name
    return only == vm.vmxPath || only == vm.name || only == name || VMID(only) == id
  }

  private func pass(_ vm: SenderConfig.VM) async -> Result<VMID, SenderRuntime.PassFailure> {
    guard showsProgress || (Terminal.isInteractive && !json) else {
      return await runtime.performPass(vm, proves: proves)
    }
    async let result = runtime.performPass(vm, proves: proves)
    let bar = Task { [runtime] in
      var bar = ProgressBar()
      while !Task.isCancelled {
        if let status = runtime.board[runtime.identity(of: vm)], let running = status.running {
          bar.show(status.name, running)
        }
        // The only error is cancellation, which the loop's condition sees.
        try? await Task.sleep(for: .milliseconds(100))
      }
      bar.clear()
    }
    let outcome = await result
    bar.cancel()
    await bar.value
    return outcome
  }

  private static func sentence(_ status: VMStatus) -> String {
    guard let pass = status.lastPass, let point = status.latestPoint else { return status.name }
    let seeding = (status.disks ?? []).filter { $0.state == .seeding }.map { "\($0.slot)" }
    let later = seeding.isEmpty ? "" : "; added and still to be copied: \(seeding.joined(separator: ", "))"
    return
      "\(SafeText.printable(status.name)): recovery point \(point.reference) (\(point.label.rawValue)) in "
      + "\(AmountText.duration(seconds: pass.durationSeconds)): "
      + "read \(AmountText.size(bytes: pass.readBytes)), "
      + "changed \(AmountText.size(bytes: pass.changedBytes)), "
      + "sent \(AmountText.size(bytes: pass.wireBytes))\(later)"
  }

  private static func sentence(_ failure: SenderRuntime.PassFailure) -> String {
    let name = SafeText.printable(failure.name)
    if case .stopping = failure.error {
      return "\(name): ended by a signal; the next run goes on with the pass"
    }
    let cause = "\(failure.error)"
    // A VM that could not be read is called by its path, as the error does.
    return cause.hasPrefix(name) ? cause : "\(name): \(cause)"
  }

  private func printJSON(_ vms: [VMStatus]) throws {
    var document = runtime.document(daemonRunning: false)
    document.vms = vms
    do throws(StatusJSONError) {
      let bytes = try StatusJSON.encode(document, now: runtime.time.wallTime())
      print(String(decoding: bytes, as: UTF8.self), terminator: "")
    } catch { throw Failure.exit(.badData, "\(error)") }
  }

  /// What a person must change comes first; a peer that cannot be reached may be back by itself.
  private static func worst(_ codes: [ReplService.ExitCode]) -> ReplService.ExitCode? {
    let order: [ReplService.ExitCode] = [.config, .refused, .badData, .failed, .peerUnavailable]
    return order.first(where: codes.contains) ?? codes.first
  }

  private static func exitCode(_ error: PassError) -> ReplService.ExitCode {
    switch error {
    case .transport: .peerUnavailable
    case .wire(.peer(let number, _, _)):
      [.fenced, .notYours, .staleEpoch].contains(ErrorNumber(rawValue: number)) ? .refused : .failed
    case .source(.vmx), .source(.noIdentity), .source(.badIdentity), .source(.noDisks), .source(.sameFile),
      .source(.disk):
      .badData
    case .source(.sharedIdentity), .source(.cannotFreeze): .config
    default: .failed
    }
  }
}

/// The passes as a service, which is how signals reach them.
private final class OnceService: Service {
  private let passes: OncePasses

  init(passes: OncePasses) { self.passes = passes }

  func run() async throws {
    try await withGracefulShutdownHandler {
      try await passes.runAll()
    } onGracefulShutdown: { [passes] in
      // At the end of every run, too: there the process is gone before.
      passes.runtime.end()
      ShutdownLimit.begin(code: .failed) { passes.runtime.freezer.isGuestHeld }
    }
  }
}
