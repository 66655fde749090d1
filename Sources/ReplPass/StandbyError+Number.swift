import ReplProtocol
import ReplStandby

extension StandbyError {
  /// What the sender is told.
  var number: ErrorNumber {
    switch self {
    case .fenced: .fenced
    case .readingAgain: .busySettling
    case .lockHeld: .leaseHeld
    case .interruptedByFailover: .fenced
    case .staleEpoch: .staleEpoch
    case .notYours, .duplicateVM: .notYours
    case .badOffer, .unknownDisk: .limit
    case .diskChanged: .diskChange
    case .keyMissing: .keyMissing
    case .damagedBatch, .damagedFile: .damaged
    case .countMismatch, .rootMismatch: .rootMismatch
    case .outOfSpace, .doesNotFit, .journalFull, .catalogFull: .outOfSpace
    case .diverged: .diverged
    case .storage, .inUse, .digest, .catalogDamaged, .journalDamaged, .newerFormat, .storeMissing,
      .filesRefused, .otherStore, .storageUnfit, .deviceRefused:
      .storage
    case .passEnded, .diskKept, .pointLost, .pointRefused, .notRepaired: .internalFault
    }
  }
}
