import Glibc
import ReplIO
import ReplModel
import ReplStandby

/// The configured stores. Each is looked at on a thread of its own, one look at a time: one that is missing
/// is opened as soon as it is there, and one that does not answer counts as missing until it does, whether
/// it was open before or not. So no store keeps anybody from another one.
public final class StoreShelf: Sendable {
  /// A look that takes longer is one that hangs. Opening a store tries out its storage, which takes seconds.
  public static let standardPatienceSeconds = 5.0

  /// A store of the configuration.
  public struct Place: Sendable {
    public let name: String
    public let path: String

    public init(name: String, path: String) { (self.name, self.path) = (name, path) }
  }

  /// What looks have found.
  enum Change: Sendable {
    case opened(name: String)
    /// It was open, and is there again.
    case returned(name: String)
    /// `wasOpen`: it went away.
    case missing(name: String, StandbyError, wasOpen: Bool)
  }

  /// Those that can be used, and why others cannot, at one moment.
  struct Inventory: Sendable {
    /// In the order of the configuration.
    var stores: [(name: String, store: StandbyStore)] = []
    /// Of those that are not open or do not answer. One that was unmounted under the daemon still counts as
    /// there: whoever uses it finds out, and finds it again.
    var missing: [(name: String, error: StandbyError)] = []
    /// What the last looks found wrong, of all stores.
    var troubles: [(name: String, error: StandbyError)] = []
    /// Those that are open and have nothing wrong with them.
    var present: [StandbyStore] = []
    /// Those that are open, also when they do not answer.
    var opened: [(store: StandbyStore, error: StandbyError?)] = []
    /// Why those are not open that could not be opened.
    var unopened: [StandbyError] = []
  }

  private struct Shelved {
    let place: Place
    var store: StandbyStore?
    /// What the last look found.
    var trouble: StandbyError?
    var look: Look?
    /// What was told of it last.
    var said: String?
  }

  /// One that has not come back yet.
  private struct Look {
    let since: WallTime
    let patience: Deadline
  }

  let patienceSeconds: Double
  private let state: Monitor<[Shelved]>
  /// Nil: all were there from the start, and nothing is looked at.
  private let open: (@Sendable (Place) throws(StandbyError) -> StandbyStore)?

  /// In the order of the configuration, at least one; none is opened yet. `open` is called for those that are
  /// missing, again and again, for each by one thread at a time.
  public init(
    _ places: [Place], patienceSeconds: Double = StoreShelf.standardPatienceSeconds,
    open: @escaping @Sendable (Place) throws(StandbyError) -> StandbyStore
  ) {
    precondition(!places.isEmpty, "a receiver has a store")
    state = Monitor(places.map { Shelved(place: $0) })
    self.patienceSeconds = patienceSeconds
    self.open = open
  }

  /// Stores that were there from the start and are not looked at.
  public init(_ stores: [(name: String, store: StandbyStore)]) {
    precondition(!stores.isEmpty, "a receiver has a store")
    state = Monitor(
      stores.map { Shelved(place: Place(name: $0.name, path: $0.store.path), store: $0.store) })
    patienceSeconds = Self.standardPatienceSeconds
    open = nil
  }

  var inventory: Inventory {
    state.withoutWaking { shelved in
      var all = Inventory()
      for entry in shelved {
        let error = Self.trouble(of: entry)
        if let error { all.troubles.append((entry.place.name, error)) }
        if let store = entry.store {
          all.opened.append((store, error))
          if error == nil { all.present.append(store) }
          if entry.look?.patience.hasPassed != true {
            all.stores.append((entry.place.name, store))
            continue
          }
        } else if let error {
          all.unopened.append(error)
        }
        all.missing.append((entry.place.name, error ?? Self.notYetOpen(entry)))
      }
      return all
    }
  }

  /// Looks at every store that is not being looked at, and waits for those that answer, at most
  /// `waitSeconds`; never for one that is known to hang. `tell` hears what has changed, perhaps later, on
  /// other threads.
  func look(waitSeconds: Double, _ tell: @escaping @Sendable (Change) -> Void) {
    guard let open else { return }
    for index in begin() {
      do throws(IOError) {
        try NamedThread.tryStart("store-look") { [self] in
          let (place, store) = state.withoutWaking { ($0[index].place, $0[index].store) }
          let found = Result { () throws(StandbyError) in
            guard let store else { return try open(place) }
            try store.checkAnswer()
            return store
          }
          if let change = end(index, found) { tell(change) }
        }.detach()
      } catch {
        if let change = end(index, .failure(.storage(error))) { tell(change) }
      }
    }
    let rest = state.withoutWaking { $0.compactMap { $0.look?.patience.remainingMilliseconds }.max() ?? 0 }
    // A little more, so that it has passed then.
    _ = state.wait(seconds: min(waitSeconds, Double(rest) / 1000 + 0.01)) { shelved in
      shelved.allSatisfy { $0.look?.patience.hasPassed ?? true } ? true : nil
    }
    silent().forEach(tell)
  }

  /// Those to look at now.
  private func begin() -> [Int] {
    state.withLock { shelved in
      let free = shelved.indices.filter { shelved[$0].look == nil }
      let now = SystemTime().wallTime()
      for index in free {
        shelved[index].look = Look(since: now, patience: Deadline(seconds: patienceSeconds))
      }
      return free
    }
  }

  private func end(_ index: Int, _ found: Result<StandbyStore, StandbyError>) -> Change? {
    state.withLock { shelved in
      shelved[index].look = nil
      switch found {
      case .success(let store):
        let (isNew, wasTold) = (shelved[index].store == nil, shelved[index].said != nil)
        (shelved[index].store, shelved[index].trouble, shelved[index].said) = (store, nil, nil)
        let name = shelved[index].place.name
        return isNew ? .opened(name: name) : wasTold ? .returned(name: name) : nil
      case .failure(let error):
        shelved[index].trouble = error
        return Self.told(error, &shelved[index])
      }
    }
  }

  /// Those that hang, each told once.
  private func silent() -> [Change] {
    state.withLock { shelved in
      shelved.indices.compactMap { index in
        guard shelved[index].look?.patience.hasPassed == true else { return nil }
        return Self.trouble(of: shelved[index]).flatMap { Self.told($0, &shelved[index]) }
      }
    }
  }

  private static func told(_ error: StandbyError, _ entry: inout Shelved) -> Change? {
    let text = "\(error)"
    guard entry.said != text else { return nil }
    entry.said = text
    return .missing(name: entry.place.name, error, wasOpen: entry.store != nil)
  }

  private static func trouble(of entry: Shelved) -> StandbyError? {
    guard let look = entry.look, look.patience.hasPassed else { return entry.trouble }
    return .storage(
      IOError(
        .system(ETIMEDOUT), "look at the store", path: entry.place.path,
        detail: "it has not answered since \(look.since): is its storage reachable, and does it take writes?")
    )
  }

  private static func notYetOpen(_ entry: Shelved) -> StandbyError {
    .storage(
      IOError(
        .system(EAGAIN), "open the store", path: entry.place.path,
        detail: "its storage is being tried out; the next pass finds it"))
  }
}
