import Glibc
import ReplIO
import ReplModel

/// What start-up found in one standby and did about it.
public struct RecoveryResult: Sendable {
  public let directory: String
  public let vm: VMID?
  public let outcome: Result<Recovery, StandbyError>
}

extension StandbyStore {
  /// Opens every standby once, which settles what was committed and discards what can be of no use. For
  /// start-up.
  public func recoverAll() throws(StandbyError) -> [RecoveryResult] {
    try standbys().map(recover)
  }

  /// Opens one standby, which recovers it.
  public func recover(_ summary: StandbySummary) -> RecoveryResult {
    let outcome: Result<Recovery, StandbyError>
    do throws(StandbyError) {
      if let problem = summary.problem { throw problem }
      outcome = try openDirectory(summary.directory, vm: summary.catalog?.vm, waitSeconds: 0).recovery
    } catch {
      outcome = .failure(error)
    }
    return RecoveryResult(directory: summary.directory, vm: summary.catalog?.vm, outcome: outcome)
  }

  /// Takes the standby of `vm` and recovers it first; nil when the store has none. Throws `.lockHeld` when
  /// somebody else has it and keeps it for `waitSeconds`.
  ///
  /// A recovery that fails (no space, diverged) does not keep it from being opened: see `Standby.recovery`.
  public func open(vm: VMID, waitSeconds: Double = 0) throws(StandbyError) -> Standby? {
    try checkPresence()
    guard let name = try directoryName(of: vm) else { return nil }
    return try openDirectory(name, vm: vm, waitSeconds: waitSeconds)
  }

  /// As `open`, for reading the disks: nothing is recovered unless a point waits to be settled. Costs nothing
  /// where a large journal lies beside the disks.
  func openForReading(vm: VMID, waitSeconds: Double) throws(StandbyError) -> Standby? {
    guard let name = try directoryName(of: vm) else { return nil }
    return try openDirectory(name, vm: vm, waitSeconds: waitSeconds, recovers: false)
  }

  /// Makes a standby without disks. Its catalog is durable before this returns, and so before the first byte
  /// of a disk.
  public func create(vm: VMID, displayName: String, owner: String) throws(StandbyError) -> Standby {
    guard displayName.utf8.count <= Limits.displayNameBytes else {
      throw .badOffer(detail: "a display name of \(displayName.utf8.count) bytes")
    }
    try checkPresence()
    let lock = try Self.acquire(StandbyLayout.createLock, in: root, waitSeconds: 10)
    defer { withExtendedLifetime(lock) {} }
    // A catalog that cannot be read may be this VM's: a second standby of it must not come about.
    try checkIsNew(vm)
    try checkNoOrphan()
    var catalog = Catalog(
      standby: .random(), slug: StandbyLayout.slug(of: displayName), vm: vm, displayName: displayName,
      owner: owner, receiver: receiver, createdAt: time.wallTime(), epoch: Epoch(1), fence: nil,
      divergence: nil, suspicion: nil, disks: [], kept: [], held: nil)
    catalog.keepName()
    let name = catalog.directoryName
    guard try !storing({ () throws(IOError) in try root.contains(name) }) else {
      throw .duplicateVM(vm: vm, paths: ["\(root.path)/\(name)"])
    }
    let home = try storing { () throws(IOError) in try StandbyHome.create(name, in: root) }
    try catalog.save(in: home.privateDirectory)
    remember(name, for: vm, owner: owner)
    return try openDirectory(name, vm: vm, waitSeconds: 0)
  }

  /// Asks a running pass to make way, and keeps new ones from starting for as long as the answer lives.
  /// Whoever asks then opens the standby with a wait. The request ends with the process, whatever ends it.
  public func requestFailover(vm: VMID) throws(StandbyError) -> FailoverRequest? {
    guard let name = try directoryName(of: vm) else { return nil }
    let directory = try storing { () throws(IOError) in
      try root.openDirectory(name).openDirectory(StandbyLayout.privateDirectory)
    }
    // A pass that looks for a request holds the file for a moment.
    return FailoverRequest(
      lock: try Self.acquire(StandbyLayout.failoverRequest, in: directory, waitSeconds: 1))
  }

  func directoryName(of vm: VMID) throws(StandbyError) -> String? {
    if let name = rememberedDirectory(of: vm), summary(of: name)?.catalog?.vm == vm { return name }
    // One that was never seen can only be in a folder that was not, and those are few.
    let all = knows(vm) ? try standbys() : try unseenStandbys()
    let found = all.filter { $0.catalog?.vm == vm }.map(\.directory)
    guard found.count <= 1 else { throw .duplicateVM(vm: vm, paths: found.map { "\(root.path)/\($0)" }) }
    if found.isEmpty {
      // It was seen there, and nobody can say that it is gone.
      if let silent = all.first(where: { $0.knownVM == vm }), let problem = silent.problem { throw problem }
      forgetDirectory(of: vm)
    }
    return found.first
  }

  private func openDirectory(
    _ name: String, vm: VMID?, waitSeconds: Double, recovers: Bool = true
  ) throws(StandbyError) -> Standby {
    let home = try storing { () throws(IOError) in try StandbyHome.open(name, in: root) }
    let lock = try Self.acquire(StandbyLayout.lock, in: home.privateDirectory, waitSeconds: waitSeconds)
    guard let catalog = try Catalog.load(from: home.privateDirectory), catalog.vm == vm else {
      throw .catalogDamaged(path: home.directory.path, detail: "the catalog changed while it was opened")
    }
    let standby = try Standby(store: self, home: home, catalog: catalog, lock: lock)
    if recovers || summary(of: name)?.isSettling != false { standby.runRecovery() }
    return standby
  }

  static func acquire(
    _ name: String, in directory: any StorageDirectory, waitSeconds: Double
  ) throws(StandbyError) -> FileLock {
    // The system's clock, not the store's: what is waited for is another process.
    let deadline = Deadline(seconds: waitSeconds)
    while true {
      if let lock = try storing({ () throws(IOError) in try directory.tryLock(name) }) { return lock }
      if deadline.hasPassed { throw .lockHeld(path: "\(directory.path)/\(name)") }
      usleep(20_000)
    }
  }
}

/// Holds back passes of one standby while it lives.
public final class FailoverRequest: Sendable {
  private let lock: FileLock

  init(lock: FileLock) { self.lock = lock }
}
