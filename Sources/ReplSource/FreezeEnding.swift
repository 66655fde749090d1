import Synchronization

/// What the end of the sender means to its freezes: none begins any more, those that hold a guest let it go,
/// and the process waits for that.
final class FreezeEnding: Sendable {
  private let isBegun = Atomic(false)
  private let guests = Atomic(0)

  var hasBegun: Bool { isBegun.load(ordering: .acquiring) }

  func begin() { isBegun.store(true, ordering: .releasing) }

  /// Whether a guest may stand still now.
  var isGuestHeld: Bool { guests.load(ordering: .acquiring) > 0 }

  /// Counts a guest as held while `body` runs.
  func holdingGuest<Result>(
    _ isHeld: Bool, _ body: () throws(SourceError) -> Result
  ) throws(SourceError) -> Result {
    if isHeld { guests.add(1, ordering: .acquiringAndReleasing) }
    defer { if isHeld { guests.subtract(1, ordering: .acquiringAndReleasing) } }
    return try body()
  }
}
