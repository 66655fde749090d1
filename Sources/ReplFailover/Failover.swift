import ReplIO
import ReplModel
import ReplStandby

/// Starts a standby for real. In this order, each step durable before the next, so that an interrupted
/// failover is run again and goes on: a running pass makes way, the newest committed point is brought into
/// the disks, epoch and fence are raised, the files beside the disks are made anew, the VM is registered, the
/// VM is powered on.
public struct Failover: Sendable {
  /// How long a running pass gets to make way; a settling that is under way is waited for.
  public static let lockWaitSeconds: Double = 600

  private let stores: [StandbyStore]
  private let commands: FailoverCommands
  private let time: any TimeSource

  public init(stores: [StandbyStore], commands: FailoverCommands, time: any TimeSource) {
    self.stores = stores
    self.commands = commands
    self.time = time
  }

  /// A standby that was found by name.
  public struct Target: Sendable {
    let store: StandbyStore
    let summary: StandbySummary
    let catalog: Catalog
  }

  /// Finds a standby by the VM's name, its UUID or the name of its folder.
  public func find(_ name: String) throws(FailoverError) -> Target {
    var found: [Target] = []
    var known: [String] = []
    do throws(StandbyError) {
      for store in stores {
        for summary in try store.standbys() {
          guard let catalog = summary.catalog else {
            if summary.directory == name, let problem = summary.problem { throw problem }
            continue
          }
          known.append(SafeText.printable(catalog.displayName))
          let names = [catalog.displayName, summary.directory, "\(catalog.vm)"]
          if names.contains(name) { found.append(Target(store: store, summary: summary, catalog: catalog)) }
        }
      }
    } catch { throw .standby(error) }
    guard let target = found.first else { throw .noSuchVM(name, known: known) }
    guard found.count == 1 else { throw .ambiguousVM(name, matches: found.map { "\($0.catalog.vm)" }) }
    return target
  }

  /// What will be done; nothing is touched.
  public func plan(_ target: Target) throws(FailoverError) -> FailoverPlan {
    let catalog = target.catalog
    guard let point = catalog.newest else { throw .noRecoveryPoint(SafeText.printable(catalog.displayName)) }
    let values = values(target, id: "{id}")
    return FailoverPlan(
      vm: catalog.vm, name: catalog.displayName, directory: values.directory, point: point.reference,
      frozenAt: point.frozenAt, label: point.label,
      lossSeconds: time.wallTime().seconds(since: point.frozenAt), isSettling: target.summary.isSettling,
      isFenced: catalog.fence != nil,
      registerCommand: commands.register.map { FailoverError.quoted($0(values)) },
      powerOnCommand: commands.powerOn.map { FailoverError.quoted($0(values)) })
  }

  /// What was done.
  public struct Report: Sendable, Codable {
    public let point: PointReference
    public let epoch: Epoch
    public let vmxPath: String
    /// Output of the commands that ran, in order.
    public let said: [String]
  }

  /// Carries it out. `say` gets a sentence a step, for people.
  public func run(
    _ target: Target, say: @escaping @Sendable (String) -> Void
  ) async throws(FailoverError) -> Report {
    let outcome: Result<FailoverHold, FailoverError>
    do {
      outcome = try await NamedThread.run("failover") { () -> Result<FailoverHold, FailoverError> in
        do throws(FailoverError) { return .success(try takeHold(target, say: say)) } catch {
          return .failure(error)
        }
      }
    } catch { preconditionFailure("the body does not throw: \(error)") }
    var hold = try outcome.get()
    var said: [String] = []
    let steps = FailoverSteps(commands: commands, say: say)
    if let text = try await steps.register(&hold, values(target, id: "")) { said.append(text) }
    if let text = try await steps.powerOn(&hold, values(target, id: hold.progress.registeredID)) {
      said.append(text)
    }
    return Report(point: hold.point, epoch: hold.epoch, vmxPath: values(target, id: "").vmx, said: said)
  }

  /// Everything up to the startable files. Blocks.
  private func takeHold(
    _ target: Target, say: @Sendable (String) -> Void
  ) throws(FailoverError) -> FailoverHold {
    let name = SafeText.printable(target.catalog.displayName)
    let (standby, request) = try failing { () throws(StandbyError) in
      // From here no new pass begins, and a running one ends at its next message.
      let request = try target.store.requestFailover(vm: target.catalog.vm)
      return (try target.store.open(vm: target.catalog.vm, waitSeconds: Self.lockWaitSeconds), request)
    }
    guard let standby, let request, let point = standby.catalog.newest else { throw .noRecoveryPoint(name) }
    try failing { () throws(StandbyError) in
      try standby.fence(reason: "failover")
      say("fenced: epoch \(standby.catalog.epoch), replication to this standby has ended")
      try standby.placeFiles(startable: true)
      say("recovery point \(point.reference) is in the disks, and the VMX is startable")
    }
    let path = "\(standby.path)/.repl"
    do throws(IOError) {
      let directory = try PosixDirectory(path: path)
      var progress = FailoverProgress(step: .fenced, registeredID: "", startedAt: time.wallTime())
      if let earlier = try FailoverProgress.load(from: directory) { progress = earlier }
      try progress.save(in: directory)
      return FailoverHold(
        point: point.reference, epoch: standby.catalog.epoch, directory: directory, request: request,
        progress: progress)
    } catch { throw .files("\(error)") }
  }

  private func failing<Value>(_ body: () throws(StandbyError) -> Value) throws(FailoverError) -> Value {
    do throws(StandbyError) { return try body() } catch { throw .standby(error) }
  }

  private func values(_ target: Target, id: String) -> FailoverCommands.Values {
    let directory = "\(target.store.path)/\(target.catalog.directoryName)"
    return FailoverCommands.Values(
      vmx: "\(directory)/\(target.catalog.slug).vmx", directory: directory, name: target.catalog.displayName,
      id: id)
  }
}
