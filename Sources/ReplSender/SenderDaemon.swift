import Glibc
import ReplIO
import ReplPass
import ReplService
import ServiceLifecycle

/// `run`: the scheduler, the status pages and systemd's watchdog, until SIGTERM or SIGINT.
struct SenderDaemon {
  let runtime: SenderRuntime

  func run() async throws {
    let notify = NotifyService(logger: runtime.logger) { [runtime] in runtime.summary }
    var services: [any Service] = [SchedulerService(runtime: runtime), notify]
    if let http = runtime.config.http {
      let server: StatusServer
      do throws(StatusServerError) {
        server = try await StatusServer.start(on: http, health: { .ok }) { [runtime] in
          runtime.document(daemonRunning: true)
        }
      } catch { throw Failure.exit(.config, "\(error)") }
      services.append(PagesService(server: server))
    }
    services.append(ShutdownService { [runtime] in runtime.stop.set() })
    let group = ServiceGroup(
      services: services, gracefulShutdownSignals: [.sigterm, .sigint], logger: runtime.logger)
    runtime.logger.info("started", metadata: ["vms": "\(runtime.config.vms.count)"])
    try await group.run()
    runtime.logger.info("stopped")
  }
}

/// Starts passes when they are due.
private struct SchedulerService: Service {
  let runtime: SenderRuntime

  func run() async throws {
    let vms = Dictionary(runtime.config.vms.map { ($0.vmxPath, $0) }) { first, _ in first }
    let scheduler = PassScheduler(
      entries: runtime.config.vms.map { .init(key: $0.vmxPath, intervalSeconds: $0.intervalSeconds) },
      limit: runtime.config.maximumConcurrentPasses, time: runtime.time
    ) { [runtime] key in
      guard let vm = vms[key] else { return .failed(.stopVM, retryAfterSeconds: nil) }
      switch await runtime.performPass(vm) {
      case .success: return .committed
      case .failure(let failure):
        return .failed(failure.error.remedy, retryAfterSeconds: failure.error.retryAfterSeconds)
      }
    }
    await untilShutdown { await scheduler.run() }
  }
}
