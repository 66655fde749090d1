import ReplIO
import ReplService
import ServiceLifecycle
import UnixSignals

/// Reads the configuration again for every SIGHUP.
struct ReloadService: Service {
  let runtime: SenderRuntime
  let configPath: String
  /// Made before systemd is told that the daemon is ready: until then SIGHUP would end it.
  let signals: UnixSignalsSequence

  func run() async throws {
    for await _ in signals.cancelOnGracefulShutdown() {
      tell { notifier throws(SystemdNotifyError) in try notifier.reloading() }
      do { try await NamedThread.run("reload") { _ = runtime.reload(from: configPath) } } catch {
        runtime.logger.error("config-not-read", metadata: ["cause": "\(error)"])
      }
      tell { notifier throws(SystemdNotifyError) in try notifier.ready(status: runtime.summary) }
    }
  }

  private func tell(_ body: (SystemdNotifier) throws(SystemdNotifyError) -> Void) {
    do throws(SystemdNotifyError) { try body(SystemdNotifier()) } catch {
      runtime.logger.warning("notify-failed", metadata: ["cause": "\(error)"])
    }
  }
}
