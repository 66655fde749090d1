import ReplFailover
import ReplIO
import ReplModel
import ReplService
import ReplStandby

/// Opens the configured stores: one that is missing does not keep the others.
enum Stores {
  struct Opened {
    var stores: [(name: String, store: StandbyStore)] = []
    var failures: [(name: String, error: StandbyError)] = []
  }

  static func open(
    _ config: ReceiverConfig, state: any StorageDirectory, receiver: ReceiverID
  ) -> Opened {
    let files = RegistrationFiles(networks: config.networks, displayNameSuffix: config.displayNameSuffix)
    var opened = Opened()
    for store in config.stores {
      do throws(StandbyError) {
        let found = try StandbyStore(
          root: try root(store.path), state: state, receiver: receiver, time: SystemTime(), files: files,
          freeSpaceFloorBytes: config.freeSpaceFloorBytes,
          retention: { _, _ in RetentionPolicy(config.retention) })
        opened.stores.append((store.name, found))
      } catch { opened.failures.append((store.name, error)) }
    }
    return opened
  }

  /// For commands: says which stores are left out; throws when none is left.
  static func openSome(
    _ config: ReceiverConfig, state: any StorageDirectory, receiver: ReceiverID
  ) throws(StandbyError) -> [(name: String, store: StandbyStore)] {
    let opened = open(config, state: state, receiver: receiver)
    if opened.stores.isEmpty, let (_, error) = opened.failures.first { throw error }
    for (name, error) in opened.failures {
      Terminal.complain("repl-receiver: store \(SafeText.printable(name)) is left out: \(error)\n")
    }
    return opened.stores
  }

  private static func root(_ path: String) throws(StandbyError) -> PosixDirectory {
    do throws(IOError) { return try PosixDirectory(path: path) } catch {
      throw error.isMissing ? .storeMissing(path: path) : .storage(error)
    }
  }
}

extension RetentionPolicy {
  init(_ config: ReceiverConfig.Retention) {
    self.init(
      last: config.last, hourly: config.hourly, daily: config.daily, weekly: config.weekly,
      floorSeconds: config.floorSeconds, budgetBytes: config.budgetBytes)
  }
}
