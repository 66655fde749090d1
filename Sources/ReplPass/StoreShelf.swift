import ReplModel
import ReplStandby
import Synchronization

/// The configured stores, those included that are not there: each is opened as soon as it is.
public final class StoreShelf: Sendable {
  private struct Place {
    let name: String
    var found: Result<StandbyStore, StandbyError>
  }

  private let places: Mutex<[Place]>
  private let open: @Sendable (_ name: String) throws(StandbyError) -> StandbyStore

  /// In the order of the configuration, at least one. `open` is called for stores that are missing, again and
  /// again.
  public init(
    _ stores: [(name: String, found: Result<StandbyStore, StandbyError>)],
    open: @escaping @Sendable (_ name: String) throws(StandbyError) -> StandbyStore
  ) {
    precondition(!stores.isEmpty, "a receiver has a store")
    places = Mutex(stores.map { Place(name: $0.name, found: $0.found) })
    self.open = open
  }

  /// Stores that were there from the start.
  public convenience init(_ stores: [(name: String, store: StandbyStore)]) {
    self.init(stores.map { ($0.name, .success($0.store)) }) { (name) throws(StandbyError) in
      throw .storeMissing(path: name)
    }
  }

  /// Those that are open, in the order of the configuration.
  var stores: [(name: String, store: StandbyStore)] {
    places.withLock { places in
      // Why it is not open is told by `missing`.
      places.compactMap { place in (try? place.found.get()).map { (place.name, $0) } }
    }
  }

  /// Why a configured store is not open; nil when all are.
  var missing: StandbyError? {
    places.withLock { places in
      for place in places { if case .failure(let error) = place.found { return error } }
      return nil
    }
  }

  /// Tries once more to open those that are missing; answers the names of those that are here now.
  func openMissing() -> [String] {
    let missing = places.withLock { places in
      places.indices.filter { if case .failure = places[$0].found { true } else { false } }
        .map { ($0, places[$0].name) }
    }
    var opened: [String] = []
    for (index, name) in missing {
      // Not under the lock: a storage that hangs must not keep those who need another store.
      let found = Result { () throws(StandbyError) in try open(name) }
      let isNew = places.withLock { places in
        if case .success = places[index].found { return false }
        places[index].found = found
        if case .success = found { return true }
        return false
      }
      if isNew { opened.append(name) }
    }
    return opened
  }
}
