import ReplModel

/// How long each phase of a pass has lasted, over all its connections.
struct PhaseClock {
  private(set) var phase: String
  private var enteredAt: Int64
  private var ended: [String: Double] = [:]

  init(_ phase: String, now: Int64) {
    self.phase = phase
    enteredAt = now
  }

  mutating func enter(_ next: String, now: Int64) {
    ended[phase, default: 0] += Double(now - enteredAt) / 1e9
    (phase, enteredAt) = (next, now)
  }

  /// The phase that goes on counts until `now`.
  func seconds(_ phases: String..., now: Int64) -> Double {
    phases.reduce(0) { sum, name in
      sum + ended[name, default: 0] + (name == phase ? Double(now - enteredAt) / 1e9 : 0)
    }
  }
}
