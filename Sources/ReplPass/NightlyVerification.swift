import Glibc
import ReplIO
import ReplModel
import ReplStandby

/// When and how fast standbys are read again by themselves.
public struct VerifySettings: Sendable {
  /// Of every standby, each night.
  public let share: Double
  public let window: DailyWindow
  /// For all standbys together.
  public let bytesPerSecond: Int64

  public init(share: Double, window: DailyWindow, bytesPerSecond: Int64) {
    self.share = share
    self.window = window
    self.bytesPerSecond = bytesPerSecond
  }
}

/// Reads a share of every standby again each night and notes what is found: those of a store one after the
/// other, each store on a thread of its own, so that one whose storage hangs keeps the others from nothing. A
/// standby that a pass holds is left for later. Blocks; runs on a thread of its own.
public final class NightlyVerification: Sendable {
  /// What is read of one standby before the next one has its turn.
  private static let secondsPerStep: Double = 10
  private static let secondsBetweenLooks: Double = 30
  private static let secondsToEnd: Double = 2

  private let service: TargetService
  private let settings: VerifySettings
  /// True ends it.
  private let stop: Monitor<Bool>
  /// Threads that have not ended, and those of them that read at this moment: they share the rate.
  private let running = Monitor(0)
  private let reading = Monitor(0)

  public init(service: TargetService, settings: VerifySettings) {
    self.service = service
    self.settings = settings
    stop = Monitor(false)
  }

  /// Ends `run` within a slice.
  public func end() { stop.withLock { $0 = true } }

  /// Until `end`.
  public func run() {
    var threads: [String: NamedThread] = [:]
    while !isStopped {
      // A store that was missing may be there now.
      for (name, store) in service.stores where threads[name] == nil {
        // Where there is no thread for it, there may be one at the next look.
        threads[name] = try? NamedThread.tryStart("verify-store") { [self] in
          run(store)
          running.withLock { $0 -= 1 }
        }
        if threads[name] != nil { running.withLock { $0 += 1 } }
      }
      pause()
    }
    // A thread whose storage hangs is not waited for: the daemon is ending.
    let haveEnded: Bool? = running.wait(seconds: Self.secondsToEnd) { $0 == 0 ? true : nil }
    for thread in threads.values { if haveEnded == nil { thread.detach() } else { thread.join() } }
  }

  private func run(_ store: StandbyStore) {
    var troubles = VerifyTroubles()
    while !isStopped {
      let didSomething = night(at: service.time.wallTime()).map { visitAll(store, $0, &troubles) } ?? false
      if !didSomething { pause() }
    }
  }

  private func pause() { _ = stop.wait(seconds: Self.secondsBetweenLooks) { $0 ? true : nil } }

  private var isStopped: Bool { stop.withLock { $0 } }

  /// The name of the night that it is, by local time; nil outside the window.
  func night(at now: WallTime) -> String? {
    let local = LocalTime(now)
    guard settings.window.contains(minute: local.minute) else { return nil }
    guard settings.window.beganYesterday(minute: local.minute) else { return local.date }
    return LocalTime(WallTime(millisecondsSince1970: now.millisecondsSince1970 - 86_400_000)).date
  }

  /// One step of every standby of a store; false when there was nothing to do.
  private func visitAll(_ store: StandbyStore, _ night: String, _ troubles: inout VerifyTroubles) -> Bool {
    troubles.begin(night: night)
    var didSomething = false
    // A store that cannot be read is told by those who need it.
    for summary in (try? store.standbys()) ?? [] {
      if isStopped { return true }
      guard let catalog = summary.catalog,
        troubles.mayTry(catalog.vm, now: service.time.monotonicNanoseconds())
      else { continue }
      if visit(catalog, in: store, night, &troubles) { didSomething = true }
    }
    return didSomething
  }

  private func visit(
    _ catalog: Catalog, in store: StandbyStore, _ night: String, _ troubles: inout VerifyTroubles
  ) -> Bool {
    let readers = reading.withLock { readers in
      readers += 1
      return readers
    }
    defer { reading.withLock { $0 -= 1 } }
    let rate = max(1, settings.bytesPerSecond / Int64(readers))
    do throws(StandbyError) {
      let step = try store.verifyNext(
        vm: catalog.vm, share: settings.share, night: night,
        stepBytes: Int64(Double(rate) * Self.secondsPerStep), bytesPerSecond: rate
      ) { [self] _ in !isStopped && self.night(at: service.time.wallTime()) == night }
      guard let outcome = step.outcome, let round = step.round else { return false }
      troubles.noteSuccess(catalog.vm)
      note(outcome, round, step, catalog)
      return true
    } catch {
      switch error {
      // A pass has it: later. The night is over, or the daemon stops: the same part again.
      case .lockHeld, .interruptedByFailover, .passEnded: break
      default:
        if troubles.note(catalog.vm, cause: "\(error)", now: service.time.monotonicNanoseconds()) {
          service.report(.notVerified(vm: SafeText.printable(catalog.displayName), error))
        }
      }
      return false
    }
  }

  private func note(
    _ outcome: VerifyOutcome, _ round: VerifyRound, _ step: VerifyStep, _ catalog: Catalog
  ) {
    service.board.update(catalog.vm) { status in
      status.verification = VMStatus.Verification(
        lastAt: round.lastAt ?? service.time.wallTime(), completeAt: round.completeAt,
        doneBytes: round.doneBytes, totalBytes: step.totalBytes)
    }
    service.keepStatus(catalog.vm)
    let name = SafeText.printable(catalog.displayName)
    if outcome.verdict != .identical || step.endsRound {
      service.report(.verified(vm: name, outcome, endsRound: step.endsRound))
    }
  }
}

/// Date, day of the week and minute of the day where this machine is.
struct LocalTime {
  let date: String
  let minute: Int
  let weekday: Weekday

  var moment: LocalMoment { LocalMoment(weekday: weekday, minute: minute) }

  init(_ time: WallTime) {
    var seconds = time_t(time.millisecondsSince1970 / 1000)
    var parts = tm()
    // localtime_r alone would not notice that the machine's time zone was changed.
    tzset()
    localtime_r(&seconds, &parts)
    minute = Int(parts.tm_hour) * 60 + Int(parts.tm_min)
    // 0 is Sunday there.
    weekday = Weekday(rawValue: (Int(parts.tm_wday) + 6) % 7) ?? .monday
    func two(_ value: Int32) -> String { value < 10 ? "0\(value)" : "\(value)" }
    date = "\(parts.tm_year + 1900)-\(two(parts.tm_mon + 1))-\(two(parts.tm_mday))"
  }
}
