import ReplModel
import ReplStandby

extension StatusBoard {
  /// Puts what the catalogs of a store say on the board.
  public func load(_ store: StandbyStore, rpoSeconds: Double) throws(StandbyError) {
    for summary in try store.standbys() {
      guard let catalog = summary.catalog else { continue }
      update(catalog.vm, name: catalog.displayName, peer: catalog.owner, rpoSeconds: rpoSeconds) { status in
        status.describe(catalog, isSettling: summary.isSettling)
      }
    }
  }
}

extension VMStatus {
  /// Newest point and state as the catalog has them. A pass that runs keeps its state, and a failure stays
  /// until a success; fence and divergence outdo both.
  mutating func describe(_ catalog: Catalog, isSettling: Bool) {
    newestPoint = catalog.newest.map {
      Point(reference: $0.reference, frozenAt: $0.frozenAt, label: $0.label)
    }
    if catalog.fence != nil {
      state = .promoted
    } else if catalog.divergence != nil {
      state = .diverged
    } else if running == nil && state != .failing && state != .stopped {
      state = isSettling ? .settling : catalog.newest == nil ? .seeding : .idle
    }
  }
}
