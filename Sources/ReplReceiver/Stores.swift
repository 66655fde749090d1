import ReplFailover
import ReplIO
import ReplModel
import ReplPass
import ReplService
import ReplStandby

/// Opens the configured stores: one that is missing does not keep the others.
struct Stores: Sendable {
  struct Opened {
    var stores: [(name: String, store: StandbyStore)] = []
    var failures: [(name: String, error: StandbyError)] = []
  }

  let config: ReceiverConfig
  let state: any StorageDirectory
  let receiver: ReceiverID

  /// By what is remembered of their storage: nothing is probed.
  static func open(
    _ config: ReceiverConfig, state: any StorageDirectory, receiver: ReceiverID
  ) -> Opened {
    let stores = Stores(config: config, state: state, receiver: receiver)
    var opened = Opened()
    for store in config.stores {
      do throws(StandbyError) {
        opened.stores.append((store.name, try stores.open(store, traits: nil)))
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

  /// Opens one store and remembers its identity; refuses another store than was here before. `traits`
  /// of a probe
  /// just made; nil: those remembered.
  func open(_ store: ReceiverConfig.Store, traits: StorageTraits?) throws(StandbyError) -> StandbyStore {
    let (id, held) = try check(store)
    let traits = traits ?? held
    if let obstacle = traits?.obstacles.first {
      throw .storageUnfit(path: store.path, detail: obstacle)
    }
    let (config, punchesHoles) = (config, traits?.punchesHoles ?? true)
    let found = try StandbyStore(
      root: try Self.root(store.path, punchesHoles: punchesHoles), state: state, receiver: receiver,
      time: SystemTime(),
      files: RegistrationFiles(networks: config.networks, displayNameSuffix: config.displayNameSuffix),
      freeSpaceFloorBytes: config.freeSpaceFloorBytes,
      options: StoreOptions(
        traits: traits, journalBudgetBytes: config.journalBudgetBytes, devices: devices,
        reopen: { () throws(StandbyError) in try Self.root(store.path, punchesHoles: punchesHoles) }),
      retention: { standby in
        RetentionPolicy(
          config.retention(of: standby.vm, called: standby.configuredName, from: standby.owner))
      })
    guard found.id == id else {
      throw .otherStore(path: store.path, name: store.name, expected: id, found: found.id)
    }
    try KnownStores.update(
      store.name, to: KnownStores.Entry(store: id, path: store.path, traits: traits), in: state)
    return found
  }

  /// Disks on block devices, by the configuration.
  var devices: StandbyDevices {
    StandbyDevices(
      plans: config.vms.map { StandbyDevices.Plan(vm: $0.name, peer: $0.peer, devices: $0.devices) },
      opener: MachineDevices(), state: state)
  }

  /// The identity of the store at a path and what is remembered of it. Nothing is written: anything
  /// may be there.
  func check(_ store: ReceiverConfig.Store) throws(StandbyError) -> (StoreID, StorageTraits?) {
    guard let id = try StandbyStore.identity(of: try Self.root(store.path)) else {
      throw .storeMissing(path: store.path)
    }
    let known = try KnownStores.load(from: state)
    try known.check(store.name, path: store.path, holds: id)
    return (id, known.entries[store.name]?.traits)
  }

  static func root(_ path: String, punchesHoles: Bool = true) throws(StandbyError) -> PosixDirectory {
    do throws(IOError) { return try PosixDirectory(path: path, punchesHoles: punchesHoles) } catch {
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
