/// Says when the data of one connection may go out. Whoever limits bandwidth implements it.
///
/// Only batches and files wait; everything else is small, has deadlines at the peer, and is counted.
public protocol SendPace: Sendable {
  /// Waits until some of `byteCount` bytes may be written, and answers how many: at least 1. Once released it
  /// waits no longer.
  func waitForTurn(_ byteCount: Int) -> Int

  /// Bytes have left: `wireBytes` went into the socket, TLS included, of which `grantedBytes` had been
  /// granted. Those that were granted and will not be sent are told with no wire bytes.
  func noteSent(grantedBytes: Int, wireBytes: Int64)

  /// From any thread: nobody waits here from now on. What is sent still counts.
  func release()
}

/// One connection's account with its pace. A connection without one writes what it has.
struct PaceAccount {
  let pace: (any SendPace)?
  /// Whether the frame that is being written waits for its turns.
  private var isPaced = false
  /// Granted and not written yet.
  private var allowance = 0
  /// Of the frame, not granted yet.
  private var rest = 0
  /// What the pace knows of.
  private var toldBytes: Int64 = 0

  init(_ pace: (any SendPace)?) { self.pace = pace }

  /// A frame of `byteCount` bytes begins, for which `granted` bytes were granted; nil when it does not wait.
  mutating func begin(byteCount: Int, granted: Int?) {
    isPaced = granted != nil
    allowance = granted ?? 0
    rest = byteCount - allowance
  }

  /// How many of `byteCount` bytes may be written now; waits.
  mutating func slice(of byteCount: Int) -> Int {
    let most = min(byteCount, TransportLimits.sliceBytes)
    guard isPaced, let pace else { return most }
    if allowance <= 0 {
      allowance = pace.waitForTurn(max(rest, most))
      rest -= allowance
    }
    return min(most, allowance)
  }

  /// `byteCount` bytes were written, or tried; `total` is what went into the socket so far.
  mutating func note(_ byteCount: Int, total: Int64) {
    guard let pace else { return }
    let granted = isPaced ? byteCount : 0
    allowance -= granted
    pace.noteSent(grantedBytes: granted, wireBytes: total - toldBytes)
    toldBytes = total
  }

  /// The frame is out, or will never be.
  mutating func end() {
    if isPaced, allowance > 0 { pace?.noteSent(grantedBytes: allowance, wireBytes: 0) }
    (isPaced, allowance, rest) = (false, 0, 0)
  }
}
