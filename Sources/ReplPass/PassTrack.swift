import ReplModel

/// How fast the pass of one VM gets on, seen from outside at intervals.
public struct PassTrack: Sendable {
  /// What is older says little about now.
  private static let windowSeconds = 30.0
  /// A shorter look is a guess.
  private static let shortestSeconds = 2.0
  /// What is found is acknowledged together: less without a move is no standstill.
  private static let standstillSeconds = 6.0

  /// When the pass was first seen, or began to freeze.
  public private(set) var beganAt: WallTime?
  /// Whether the pass has got on since the look before.
  public private(set) var hasMoved = false
  private var phase = ""
  private var doneBytes: Int64 = 0
  private var totalBytes: Int64 = 0
  private var samples: [(seconds: Double, doneBytes: Int64)] = []

  public init() {}

  /// To be called with what the board says, again and again; `nowSeconds` is monotonic.
  public mutating func look(at running: VMStatus.Running?, nowSeconds: Double) {
    guard let running else {
      self = PassTrack()
      return
    }
    let before = (beganAt, phase, doneBytes)
    defer { hasMoved = before != (beganAt, phase, doneBytes) }
    // A new pass may follow the last one between two looks.
    if running.phase == "freeze", beganAt != running.startedAt { self = PassTrack() }
    if beganAt == nil { beganAt = running.startedAt }
    if running.phase != phase { samples = [] }
    (phase, doneBytes, totalBytes) = (running.phase, running.doneBytes, running.totalBytes)
    samples.append((nowSeconds, running.doneBytes))
    samples.removeAll { $0.seconds < nowSeconds - Self.windowSeconds }
  }

  /// Of the phase that goes on, 0...1.
  var fractionDone: Double {
    totalBytes > 0 ? min(1, Double(doneBytes) / Double(totalBytes)) : 0
  }

  /// Seconds until everything is dealt with, at the speed of the last half minute; infinite while nothing
  /// moves, nil when that cannot be said yet.
  var remainingSeconds: Double? {
    guard totalBytes > 0, let first = samples.first, let last = samples.last,
      last.seconds - first.seconds >= Self.shortestSeconds
    else { return nil }
    if doneBytes >= totalBytes { return 0 }
    let span = last.seconds - first.seconds
    let rate = Double(last.doneBytes - first.doneBytes) / span
    if rate > 0 { return Double(totalBytes - doneBytes) / rate }
    return span < Self.standstillSeconds ? nil : .infinity
  }
}
