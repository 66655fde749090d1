extension DigestDelta {
  /// The first leaf at or after `leaf` that the delta has its own version of; nil when there is none.
  public func heldLeaf(atOrAfter leaf: Int64) -> Int64? {
    held.withLock { $0.touched[0].next(atOrAfter: max(0, leaf)) }
  }
}
