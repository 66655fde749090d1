/// What reading a disk again at both sides has shown.
public enum ProofVerdict: String, Codable, Sendable, CaseIterable {
  /// Sizes, roots and hashes agree.
  case identical
  /// They do not.
  case differing
  /// One side could not read all of it, or the proof did not come to its end: nothing is known.
  case inconclusive
}

extension [ProofVerdict] {
  /// Of all disks together: one that differs says more than one that could not be read.
  public var together: ProofVerdict {
    if contains(.differing) { return .differing }
    return isEmpty || contains(.inconclusive) ? .inconclusive : .identical
  }
}
