import Logging
import ReplIO
import ReplModel
import ReplPass
import ReplService
import ReplSource
import ReplTLS
import ReplTransport
import Synchronization

/// Everything a running sender consists of: one value for the daemon and for `run --once`.
final class SenderRuntime: Sendable {
  /// What is in force; a reload changes it.
  let current: Mutex<SenderConfig>
  var config: SenderConfig { current.withLock { $0 } }
  let reloads = Mutex(Reloads())
  let output: LogOutput
  let bandwidth: BandwidthShare
  let board: StatusBoard
  let stop = StopSignal()
  let time = SystemTime()
  let logger: Logger
  let roster: Roster
  let freezer: ViewFreezer
  let shelf: HintShelf
  let state: SourceState
  let settings: SourceSettings
  let history: PassHistory
  /// What was said of passes that run, so that it is said once.
  let said = Mutex<[VMID: Set<String>]>([:])
  /// How proofs ended, for commands that asked for them.
  let proofs = Mutex<[VMID: ProofOutcome]>([:])
  /// Whose pass runs now.
  let busy = Mutex<Set<VMID>>([])
  /// What freezes of VMs left that nobody asks for any more.
  let strayLeftovers = Mutex<[String]>([])
  /// What was seen of VMs while looking ahead.
  let foresight = Mutex<[VMID: Foresight]>([:])
  let clockSkew = ClockSkew()
  private let lock: FileLock
  /// Set by the daemon, which has one.
  private let scheduler = Mutex<PassScheduler?>(nil)
  /// When the look around began that has not ended yet.
  private let lookBegan = Mutex<WallTime?>(nil)
  /// When the undoing of earlier freezes began that has not ended yet.
  private let cleaningBegan = Mutex<WallTime?>(nil)
  /// A look around takes seconds; a storage that does not answer takes for ever.
  private static let slowLookSeconds = 300.0
  /// A command may take half an hour, and there may be some.
  private static let slowCleaningSeconds = 7200.0
  /// One look around at a time: what it finds must not be undone by one that began before.
  private let lookingAround = Mutex(())
  /// Set by a reload: the next look is not to wait for its time.
  private let isLookWanted = Mutex(false)

  init(config: SenderConfig, output: LogOutput) throws {
    current = Mutex(config)
    self.output = output
    bandwidth = BandwidthShare(plan: config.bandwidth, time: time)
    logger = output.logger(label: "repl-sender")
    let directory = try StateDirectory.open(path: config.stateDirectory)
    lock = try directory.lock()
    let identity = try TLSIdentity.load(in: "\(config.stateDirectory)/identity")
    let tls = try TLSContext(role: .client, identity: identity, policy: Self.policy(config.receiver.trust))
    state = try SourceState(root: directory.directory)
    shelf = try HintShelf(state: directory.directory)
    freezer = try ViewFreezer(
      directory: try directory.directory.createDirectory("freezes"), hints: shelf, time: time)
    board = try StatusBoard(directory: try directory.directory.createDirectory("status"))
    history = try PassHistory(directory: try directory.directory.createDirectory("history"))
    settings = SourceSettings(
      receiver: HostPort(host: config.receiver.address.host, port: UInt16(config.receiver.address.port)),
      tls: tls,
      productVersion: ProductVersion.current, pageSizeBytes: config.pageSizeBytes,
      compression: SourceSettings.Compression(rawValue: config.compression.rawValue) ?? .auto)
    roster = Roster(config, directory: directory.directory, time: time)
  }

  /// Before the first pass: who is to be replicated. VMs whose storage does not answer are left out.
  func begin() async {
    do { try await NamedThread.run("begin") { [self] in lookAround() } } catch {
      logger.error("not-looked", metadata: ["cause": "\(error)"])
    }
  }

  /// Undoes what earlier freezes left. Takes as long as commands need to end; passes need not wait for it.
  func cleanUp() async {
    do {
      try await NamedThread.run("clean") { [self] in
        cleaningBegan.withLock { $0 = time.wallTime() }
        clean()
        cleaningBegan.withLock { $0 = nil }
      }
    } catch { logger.error("not-cleaned", metadata: ["cause": "\(error)"]) }
  }

  /// The process ends: passes are suspended, guests let go.
  func end() {
    stop.set()
    freezer.stop()
  }

  private static func policy(_ trust: PeerTrust) -> PeerPolicy {
    switch trust {
    case .pinned(let fingerprints):
      PeerPolicy(pinned: fingerprints.map { PeerPolicy.Pin(name: "receiver", fingerprint: $0) })
    case .authority(let caFile, let names):
      PeerPolicy(authority: PeerPolicy.Authority(filePath: caFile, allowedNames: names))
    }
  }

  func document(daemonRunning: Bool) -> StatusDocument {
    var document = StatusDocument(
      role: .sender, version: ProductVersion.current, daemonRunning: daemonRunning,
      generatedAt: time.wallTime(), vms: board.all)
    let warnings = warnings
    document.warnings = warnings.isEmpty ? nil : warnings
    describeBandwidth(in: &document)
    return document
  }

  var hasStrayLeftovers: Bool { strayLeftovers.withLock { !$0.isEmpty } }

  /// What is wrong and belongs to no VM, a sentence each.
  var warnings: [String] {
    var warnings = reloadWarnings + roster.warnings
    warnings += strayLeftovers.withLock { $0 }.map { "left behind: \($0)" }
    if let began = lookBegan.withLock({ $0 }), time.wallTime().seconds(since: began) > Self.slowLookSeconds {
      warnings.append(
        "looking for VMs has not come to an end since \(began): "
          + "does the storage of every folder and VMX answer?")
    }
    if let began = cleaningBegan.withLock({ $0 }) {
      warnings.append(
        "what freezes left before the start is being undone since \(began); a VM's passes begin after its own"
      )
    }
    return warnings
  }

  /// Failing while a look or a cleaning hangs.
  var health: Health {
    let now = time.wallTime()
    func hangs(_ began: WallTime?, _ limit: Double) -> Bool {
      began.map { now.seconds(since: $0) > limit } ?? false
    }
    let isHanging =
      hangs(lookBegan.withLock { $0 }, Self.slowLookSeconds)
      || hangs(cleaningBegan.withLock { $0 }, Self.slowCleaningSeconds)
    return isHanging ? .failing(warnings.joined(separator: "; ")) : .ok
  }

  /// One line for `systemctl status`.
  var summary: String {
    let all = board.all
    let vms = all.filter { $0.state != .found }
    let running = vms.count { $0.running != nil }
    let failing = vms.count { $0.lastFailure != nil }
    let found = all.count > vms.count ? ", \(all.count - vms.count) found and not protected" : ""
    let refused = reloads.withLock { $0.refusal } == nil ? "" : ", the changed configuration was refused"
    return "\(vms.count) VM(s), \(running) passes running, \(failing) failing\(found)\(refused)"
  }

  func identity(of vm: SenderConfig.VM) -> VMID { roster[vm.vmxPath] }

  // MARK: - Who is replicated

  /// The scheduler of the daemon, from now on told who comes and goes.
  func use(_ scheduler: PassScheduler) {
    self.scheduler.withLock { $0 = scheduler }
    scheduler.replace(with: schedule)
  }

  private var schedule: [PassScheduler.Entry] {
    let now = time.wallTime()
    return roster.members.map { member in
      let id = identity(of: member.vm)
      return .init(
        key: member.vm.vmxPath, terms: terms(of: member.vm, id),
        pointAgeSeconds: board[id]?.lagSeconds(now: now))
    }
  }

  /// The pass of this VM gets on.
  func noteMoved(_ path: String) { scheduler.withLock { $0 }?.noteMoved(path) }

  /// When the next passes are expected to start, by VMX path; empty without a scheduler.
  var outlook: [String: (startsInSeconds: Double, isPlaceMissing: Bool, failures: Int)] {
    scheduler.withLock { $0 }?.outlook ?? [:]
  }

  /// Whether a VM is due and waits for a place.
  var isPlaceWanted: Bool { scheduler.withLock { $0 }?.isPlaceWanted ?? false }

  /// The next look is due now.
  func wantLook() { isLookWanted.withLock { $0 = true } }

  /// Whether it is; told once.
  func takeWantedLook() -> Bool {
    isLookWanted.withLock { wanted in
      defer { wanted = false }
      return wanted
    }
  }

  /// Looks into every folder and VMX; board, log and scheduler follow. Blocks.
  func lookAround() { lookingAround.withLock { _ in look() } }

  private func look() {
    lookBegan.withLock { $0 = time.wallTime() }
    let changes = roster.look(keeps: true)
    lookBegan.withLock { $0 = nil }
    do throws(IOError) {
      if let failure = changes.failure { throw failure }
      try roster.show(on: board, keeps: true)
    } catch {
      logger.warning("status-not-kept", metadata: ["cause": "\(error)"])
    }
    log(changes)
    bandwidth.retain(Set(roster.members.map(\.vm.vmxPath)))
    if !changes.left.isEmpty || !changes.gone.isEmpty { cleanKeptClones() }
    scheduler.withLock { $0 }?.replace(with: schedule)
  }

  private func log(_ changes: Roster.Changes) {
    for member in changes.joined {
      guard let folder = member.folder else { continue }
      logger.info("vm-protected", metadata: ["vmx": "\(member.vm.vmxPath)", "folder": "\(folder)"])
    }
    for member in changes.left { logger.info("vm-left", metadata: ["vmx": "\(member.vm.vmxPath)"]) }
    for gone in changes.gone {
      let name = board[gone.vm]?.name ?? gone.name
      logger.error("vm-gone", metadata: ["vm": "\(name)", "vmx": "\(gone.path)", "cause": "\(gone.cause)"])
    }
    for found in changes.found {
      logger.notice("vm-found", metadata: ["vm": "\(found.name)", "vmx": "\(found.path)"])
    }
    for warning in changes.warnings { logger.warning("find-trouble", metadata: ["cause": "\(warning)"]) }
  }

  /// Writes down what the board says of one VM.
  func keep(_ vm: VMID) {
    do throws(IOError) { try board.keep(vm) } catch {
      logger.warning("status-not-kept", metadata: ["cause": "\(error)"])
    }
  }
}
