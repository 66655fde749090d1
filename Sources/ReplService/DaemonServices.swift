import Logging
import ServiceLifecycle

/// Tells systemd that the daemon is ready, alive and ending.
public struct NotifyService: Service {
  private let logger: Logger
  private let status: @Sendable () -> String

  /// `status` is one line for `systemctl status`.
  public init(logger: Logger, status: @escaping @Sendable () -> String) {
    self.logger = logger
    self.status = status
  }

  /// Ends at shutdown.
  public func run() async {
    let notifier = SystemdNotifier()
    tell { () throws(SystemdNotifyError) in try notifier.ready(status: status()) }
    await withGracefulShutdownHandler {
      await untilShutdown { await keepAlive(notifier) }
    } onGracefulShutdown: {
      tell { () throws(SystemdNotifyError) in try notifier.stopping() }
    }
  }

  private func keepAlive(_ notifier: SystemdNotifier) async {
    let pause = min(notifier.watchdogTimeoutSeconds.map { $0 / 3 } ?? 10, 10)
    while !Task.isCancelled {
      tell { () throws(SystemdNotifyError) in
        try notifier.status(status())
        try notifier.watchdog()
      }
      // The only error is cancellation, which the loop's condition sees.
      try? await Task.sleep(for: .seconds(pause))
    }
  }

  private func tell(_ body: () throws(SystemdNotifyError) -> Void) {
    do throws(SystemdNotifyError) { try body() } catch {
      logger.warning("notify-failed", metadata: ["cause": "\(error)"])
    }
  }
}

/// Serves the status pages.
public struct PagesService: Service {
  private let server: StatusServer

  public init(server: StatusServer) { self.server = server }

  /// Ends at shutdown.
  public func run() async {
    await untilShutdown { await server.run() }
  }
}

/// Runs `body` in a task that is cancelled when the daemon shuts down.
public func untilShutdown(_ body: @escaping @Sendable () async -> Void) async {
  await cancelWhenGracefulShutdown(body)
}
