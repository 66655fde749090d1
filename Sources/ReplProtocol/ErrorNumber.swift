import ReplModel

/// Why a session ended, as a number on the wire. The numbers are fixed; WireProtocol.md lists them.
public enum ErrorNumber: UInt16, Sendable, CaseIterable {
  case badFrame = 1
  case wrongState = 2
  case limit = 3
  case versionMismatch = 4
  case unsupported = 5
  case shuttingDown = 6
  case timedOut = 7
  case busy = 8
  case internalFault = 9
  case notYours = 20
  case leaseHeld = 21
  case fenced = 22
  case staleEpoch = 23
  case diverged = 24
  case wrongBase = 25
  case busySettling = 26
  case keyMissing = 27
  case diskChange = 28
  case notSeeding = 29
  case damaged = 40
  case rootMismatch = 41
  case outOfSpace = 42
  case storage = 43
  case sourceFailed = 44

  /// What the side that reads the number does with its pass.
  public var remedy: Remedy {
    switch self {
    case .shuttingDown, .timedOut, .busy, .busySettling, .keyMissing: .retryPass
    case .notYours, .fenced, .staleEpoch, .diverged, .diskChange: .stopVM
    case .badFrame, .wrongState, .limit, .versionMismatch, .unsupported, .internalFault, .leaseHeld,
      .wrongBase, .notSeeding, .damaged, .rootMismatch, .outOfSpace, .storage, .sourceFailed:
      .abandonPass
    }
  }

  /// The number's name in logs, as on the protocol page: `fenced`.
  public var name: String { "\(self)" }
}
