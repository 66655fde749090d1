import Logging
import ReplIO
import ReplModel
import ReplPass
import ReplService
import ReplStandby

/// The stores of the daemon: each is probed when it is opened, on a thread of its own, and one that is
/// missing is tried again.
struct DaemonStores: Sendable {
  let stores: Stores
  let logger: Logger

  /// None of them is opened yet.
  func shelf() -> StoreShelf {
    let config = stores.config
    return StoreShelf(config.stores.map { .init(name: $0.name, path: $0.path) }) {
      (place) throws(StandbyError) in
      guard let store = config.stores.first(where: { $0.name == place.name }) else {
        preconditionFailure("a store that is not in the configuration: \(place.name)")
      }
      return try open(store)
    }
  }

  private func open(_ store: ReceiverConfig.Store) throws(StandbyError) -> StandbyStore {
    // Before anything is written there: it may be an empty mount point, or another disk.
    _ = try stores.check(store)
    return try stores.open(store, traits: probe(store))
  }

  /// Nil when it cannot be probed now, as on a full storage: then what was seen before holds.
  private func probe(_ store: ReceiverConfig.Store) throws(StandbyError) -> StorageTraits? {
    // Before, so that a storage that hangs in it is named.
    logger.info("store-probing", metadata: ["store": "\(store.name)", "path": "\(store.path)"])
    do throws(IOError) {
      let traits = try StorageProbe.run(in: try PosixDirectory(path: store.path))
      logger.info(
        "store-probed", metadata: ["store": "\(store.name)", "found": "\(StorageReport.line(traits))"])
      return traits
    } catch {
      logger.warning("store-not-probed", metadata: ["store": "\(store.name)", "cause": "\(error)"])
      return nil
    }
  }
}
