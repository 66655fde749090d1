import Glibc
import ReplIO
import ReplModel
import ReplPass
import ReplProtocol
import ReplService

/// `run --once`: one pass of each VM, one after the other; the exit code says how it went.
struct OncePasses {
  let runtime: SenderRuntime
  let only: String?
  let json: Bool
  let showsProgress: Bool

  func run() async throws {
    let selected = runtime.config.vms.filter(matches)
    guard !selected.isEmpty else {
      let known = runtime.board.all.map(\.name).joined(separator: ", ")
      throw Failure.exit(
        .usage, "no VM is called \(SafeText.printable(only ?? "")): the configuration has \(known)")
    }
    var done: [VMStatus] = []
    var worst: ReplService.ExitCode?
    for vm in selected {
      switch await pass(vm) {
      case .success(let id):
        if let status = runtime.board[id] {
          done.append(status)
          if !json { print(Self.sentence(status)) }
        }
      case .failure(let failure):
        if let id = runtime.identity(of: vm), let status = runtime.board[id] { done.append(status) }
        Terminal.complain("repl-sender: \(failure.name): \(failure.error)\n")
        worst = worst ?? Self.exitCode(failure.error)
      }
    }
    if json { try printJSON(done) }
    if let worst { throw Failure.silent(worst) }
  }

  private func matches(_ vm: SenderConfig.VM) -> Bool {
    guard let only else { return true }
    let id = runtime.identity(of: vm)
    let name = id.flatMap { runtime.board[$0]?.name }
    return only == vm.vmxPath || only == vm.name || only == name || (id != nil && VMID(only) == id)
  }

  private func pass(_ vm: SenderConfig.VM) async -> Result<VMID, SenderRuntime.PassFailure> {
    guard showsProgress || (Terminal.isInteractive && !json) else { return await runtime.performPass(vm) }
    async let result = runtime.performPass(vm)
    let bar = Task { [runtime] in
      var bar = ProgressBar()
      while !Task.isCancelled {
        if let id = runtime.identity(of: vm), let status = runtime.board[id], let running = status.running {
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
    guard let pass = status.lastPass, let point = status.newestPoint else { return status.name }
    return
      "\(SafeText.printable(status.name)): recovery point \(point.reference) (\(point.label.rawValue)) in "
      + "\(AmountText.duration(seconds: pass.durationSeconds)): "
      + "read \(AmountText.size(bytes: pass.readBytes)), "
      + "changed \(AmountText.size(bytes: pass.changedBytes)), sent \(AmountText.size(bytes: pass.wireBytes))"
  }

  private func printJSON(_ vms: [VMStatus]) throws {
    var document = runtime.document(daemonRunning: false)
    document.vms = vms
    do throws(StatusJSONError) {
      let bytes = try StatusJSON.encode(document, now: runtime.time.wallTime())
      print(String(decoding: bytes, as: UTF8.self), terminator: "")
    } catch { throw Failure.exit(.badData, "\(error)") }
  }

  private static func exitCode(_ error: PassError) -> ReplService.ExitCode {
    switch error {
    case .transport: .peerUnavailable
    case .wire(.peer(let number, _, _)):
      [.fenced, .notYours, .staleEpoch].contains(ErrorNumber(rawValue: number)) ? .refused : .failed
    case .source(.vmx), .source(.noIdentity), .source(.noDisks), .source(.disk): .badData
    default: .failed
    }
  }
}
