import ReplModel

/// A disk as the operator names it.
public enum DiskSelector: Sendable, Hashable {
  case slot(DiskSlot)
  case disk(DiskID)

  /// Reads `scsi0:1` or a UUID of 32 hex digits (`ddb.uuid`).
  public init?(_ text: String) {
    if let slot = DiskSlot(text) {
      self = .slot(slot)
    } else if let disk = DiskID(text) {
      self = .disk(disk)
    } else {
      return nil
    }
  }
}

extension DiskSelector: CustomStringConvertible {
  public var description: String {
    switch self {
    case .slot(let slot): "\(slot)"
    case .disk(let disk): "\(disk)"
    }
  }
}
