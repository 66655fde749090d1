import ReplIO
import ReplPass
import ReplService
import ServiceLifecycle

/// Reads a share of every standby again each night, as the configuration says.
struct VerifyService: Service {
  let verification: NightlyVerification

  init?(_ runtime: ReceiverRuntime) {
    guard let settings = runtime.config.verify else { return nil }
    verification = NightlyVerification(
      service: runtime.service,
      settings: VerifySettings(
        share: settings.share, window: settings.window, bytesPerSecond: settings.bytesPerSecond))
  }

  func run() async throws {
    try await withGracefulShutdownHandler {
      try await NamedThread.run("verify-nightly") { [verification] in verification.run() }
    } onGracefulShutdown: { [verification] in
      verification.end()
    }
  }
}
