import Logging
import ReplIO
import ReplModel
import ReplPass
import ReplService
import ReplTransport
import ServiceLifecycle

/// `run`: the listener, recovery, the status pages and systemd's watchdog, until SIGTERM or SIGINT.
struct ReceiverDaemon {
  /// Most stores are open before the first sender comes; one that hangs keeps nobody.
  private static let storeWaitSeconds = 2.0

  let runtime: ReceiverRuntime

  func run() async throws {
    try await NamedThread.run("stores") { [runtime] in
      runtime.service.lookAtStores(waitSeconds: Self.storeWaitSeconds)
    }
    let patience = ListenPatience(logger: runtime.logger)
    let listener: Listener
    do {
      // It is there later, or its name is known then.
      listener = try await patience.wait(mayPass: { [.cannotListen, .unresolved].contains($0.code) }) {
        () throws(TransportError) in try runtime.makeListener()
      }
    } catch { throw Failure.exit(.temporary, "\(error)") }
    let notify = NotifyService(logger: runtime.logger) { [runtime] in runtime.summary }
    var services: [any Service] = [
      ListenerService(runtime: runtime, listener: listener), StoreService(runtime: runtime),
      RecoveryService(runtime: runtime), notify,
    ]
    if let verify = VerifyService(runtime) { services.append(verify) }
    if let http = runtime.config.http {
      let server = try await Failure.explaining {
        try await StatusServer.start(
          on: http, patience: patience, health: { [runtime] in runtime.health }
        ) { [runtime] in await runtime.document() }
      }
      services.append(PagesService(server: server))
    }
    services.append(
      ShutdownService { [listener, service = runtime.service] in
        service.stop()
        // A little longer than a session has for telling its sender.
        let stop: @Sendable () -> Void = { listener.stop(withinSeconds: 3, graceSeconds: 1.2) }
        do throws(IOError) { try NamedThread.tryStart("listener-stop", stop).detach() } catch {
          // Nothing else runs at the end that the wait could hold up.
          stop()
        }
      })
    let group = ServiceGroup(
      services: services, gracefulShutdownSignals: [.sigterm, .sigint], logger: runtime.logger)
    try await group.run()
    runtime.logger.info("stopped")
  }
}

/// Accepts senders; each connection has a thread of its own.
private struct ListenerService: Service {
  let runtime: ReceiverRuntime
  let listener: Listener

  func run() async throws {
    let logger = runtime.logger
    logger.info(
      "listening", metadata: ["address": "\(runtime.config.listen)", "port": "\(listener.localPort)"])
    let refusals = RefusalLog(logger: logger)
    try await NamedThread.run("listener") { [runtime, listener] in
      listener.run {
        runtime.service.serve($0)
      } onRefused: {
        refusals.write($0)
      }
    }
    // Stopped by the shutdown; its turn to end comes later.
    try await gracefulShutdown()
  }
}

/// Opens the stores, and goes on looking at them: no session, no status and no end waits for one that hangs.
private struct StoreService: Service {
  private static let secondsBetweenLooks = 10.0

  let runtime: ReceiverRuntime

  func run() async throws {
    let isOver = Monitor(false)
    try await withGracefulShutdownHandler {
      try await NamedThread.run("stores") { [runtime] in
        runtime.service.watchStores(everySeconds: Self.secondsBetweenLooks, until: isOver)
      }
    } onGracefulShutdown: {
      isOver.withLock { $0 = true }
    }
  }
}

/// Settles what was committed before the last end, while new connections are taken already: whoever needs a
/// standby meanwhile waits for it, and opening it recovers it as well.
private struct RecoveryService: Service {
  let runtime: ReceiverRuntime

  func run() async throws {
    try await NamedThread.run("recovery") { [runtime] in
      runtime.service.recover()
      runtime.logRemarks()
    }
    runtime.logger.info("recovered", metadata: ["standbys": "\(runtime.board.all.count)"])
    try await gracefulShutdown()
  }
}
