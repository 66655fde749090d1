import Glibc
import ReplIO
import ReplPass
import ReplService
import ServiceLifecycle
import UnixSignals

/// `run`: the scheduler, the status pages and systemd's watchdog, until SIGTERM or SIGINT.
struct SenderDaemon {
  let runtime: SenderRuntime
  /// Where the configuration is read again.
  let configPath: String

  func run() async throws {
    let reload = ReloadService(
      runtime: runtime, configPath: configPath, signals: await UnixSignalsSequence(trapping: .sighup))
    let notify = NotifyService(logger: runtime.logger) { [runtime] in runtime.summary }
    var services: [any Service] = [
      SchedulerService(runtime: runtime), LookService(runtime: runtime), ForecastService(runtime: runtime),
      reload, notify,
    ]
    if let http = runtime.config.http {
      let server = try await Failure.explaining {
        try await StatusServer.start(
          on: http, patience: ListenPatience(logger: runtime.logger), health: { [runtime] in runtime.health }
        ) { [runtime] in runtime.document(daemonRunning: true) }
      }
      services.append(PagesService(server: server))
    }
    // A guest that is held is let go before the end, which may take a command of the operator's a while.
    services.append(
      ShutdownService { [runtime] in
        runtime.end()
      } isUrgent: { [runtime] in
        runtime.freezer.isGuestHeld
      })
    let group = ServiceGroup(
      services: services, gracefulShutdownSignals: [.sigterm, .sigint], logger: runtime.logger)
    runtime.logger.info(
      "started",
      metadata: ["vms": "\(runtime.config.vms.count)", "folders": "\(runtime.config.folders.count)"])
    try await group.run()
    runtime.logger.info("stopped")
  }
}

/// Starts passes when they are due.
private struct SchedulerService: Service {
  let runtime: SenderRuntime

  func run() async throws {
    let scheduler = PassScheduler(
      entries: [], limit: runtime.config.maximumConcurrentPasses, time: runtime.time
    ) { [runtime] key in
      // It has left since it was due.
      guard let vm = runtime.roster.member(at: key)?.vm else {
        return .failed(.stopVM, retryAfterSeconds: nil)
      }
      switch await runtime.performPass(vm) {
      case .success(let id):
        return .committed(expectedSeconds: runtime.history.estimate(of: id)?.seconds)
      case .failure(let failure):
        return .failed(failure.error.remedy, retryAfterSeconds: failure.error.retryAfterSeconds)
      }
    }
    await untilShutdown { [runtime] in
      await runtime.begin()
      runtime.use(scheduler)
      // Beside the passes: one VM's slow command keeps none of the others.
      async let cleaning: Void = runtime.cleanUp()
      await scheduler.run()
      await cleaning
    }
  }
}

/// Looks ahead, once a second.
private struct ForecastService: Service {
  let runtime: SenderRuntime

  func run() async throws {
    await untilShutdown { [runtime] in
      while !Task.isCancelled {
        // The only error is cancellation, which the loop's condition sees.
        try? await Task.sleep(for: .seconds(1))
        guard !Task.isCancelled else { continue }
        runtime.lookAhead()
      }
    }
  }
}

/// Looks for VMs that come, go and move, once in a while.
private struct LookService: Service {
  let runtime: SenderRuntime

  func run() async throws {
    await untilShutdown { [runtime] in
      var pace = LookPace(seconds: runtime.config.rescanSeconds, time: runtime.time)
      while !Task.isCancelled {
        // The only error is cancellation, which the loop's condition sees.
        try? await Task.sleep(for: .seconds(1))
        guard !Task.isCancelled, runtime.takeWantedLook() || pace.isDue else { continue }
        // The body does not throw.
        try? await NamedThread.run("find") { runtime.lookAround() }
        pace.restart(seconds: runtime.config.rescanSeconds)
      }
    }
  }
}
