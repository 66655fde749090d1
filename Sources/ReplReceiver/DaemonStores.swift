import Logging
import ReplIO
import ReplModel
import ReplPass
import ReplService
import ReplStandby

/// The stores of the daemon: each is probed when it is opened, and one that is missing is tried again.
struct DaemonStores: Sendable {
  let stores: Stores
  let logger: Logger

  func shelf() -> StoreShelf {
    let config = stores.config
    let found = config.stores.map { store in
      (store.name, Result { () throws(StandbyError) in try open(store) })
    }
    for case (let name, .failure(let error)) in found {
      logger.error("store-not-opened", metadata: ["store": "\(name)", "cause": "\(error)"])
    }
    return StoreShelf(found) { (name) throws(StandbyError) in
      guard let store = config.stores.first(where: { $0.name == name }) else {
        preconditionFailure("a store that is not in the configuration: \(name)")
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
