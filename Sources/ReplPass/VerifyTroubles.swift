import ReplModel

/// What verifying by night runs into, standby by standby: each cause is told once a night, and a standby that
/// cannot be verified is tried ever more seldom. Pure.
struct VerifyTroubles {
  static let firstPauseSeconds = 60.0
  static let longestPauseSeconds = 3600.0
  /// Of one standby in one night; a storage that fails has a handful.
  static let causeLimit = 8

  private struct Trouble {
    var told: Set<String> = []
    var failures = 0
    var retryAtNanoseconds: Int64 = 0
  }

  private var night = ""
  private var troubles: [VMID: Trouble] = [:]

  /// A new night begins with a clean sheet.
  mutating func begin(night: String) {
    guard night != self.night else { return }
    self.night = night
    troubles = [:]
  }

  func mayTry(_ vm: VMID, now: Int64) -> Bool { troubles[vm].map { now >= $0.retryAtNanoseconds } ?? true }

  /// A failure. Answers whether to tell it.
  mutating func note(_ vm: VMID, cause: String, now: Int64) -> Bool {
    var trouble = troubles[vm] ?? Trouble()
    let doubled = Self.firstPauseSeconds * Double(1 << min(trouble.failures, 16))
    trouble.failures += 1
    trouble.retryAtNanoseconds = now + Int64(min(doubled, Self.longestPauseSeconds) * 1e9)
    let isNews = trouble.told.count < Self.causeLimit && trouble.told.insert(cause).inserted
    troubles[vm] = trouble
    return isNews
  }

  /// A part of it was read: the next failure is soon tried again. What was told stays told.
  mutating func noteSuccess(_ vm: VMID) {
    troubles[vm]?.failures = 0
    troubles[vm]?.retryAtNanoseconds = 0
  }
}
