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

  /// In a plan: what the register command will print.
  static let unknownID = "ID-FROM-REGISTER"

  private let commands: FailoverCommands
  let time: any TimeSource

  public init(commands: FailoverCommands, time: any TimeSource) {
    self.commands = commands
    self.time = time
  }

  /// What the operator asks for.
  public struct Choice: Sendable {
    /// The point to start; nil for the newest, or the one that a failover before was about.
    public var point: PointReference?
    /// Also a point that was read while the VM wrote.
    public var acceptsFuzzy: Bool
    /// Also a standby that is suspect or diverged, and a point that is damaged.
    public var forces: Bool

    public init(point: PointReference? = nil, acceptsFuzzy: Bool = false, forces: Bool = false) {
      self.point = point
      self.acceptsFuzzy = acceptsFuzzy
      self.forces = forces
    }
  }

  /// What will be done; nothing is touched.
  public func plan(
    _ target: StandbySearch.Found, _ choice: Choice = Choice()
  ) throws(FailoverError) -> FailoverPlan {
    let catalog = target.catalog
    guard let newest = newest(of: target) else {
      throw .noRecoveryPoint(SafeText.printable(catalog.displayName))
    }
    let point = try chosenPoint(choice, catalog, newest: newest)
    var doubts = doubts(about: catalog, point.reference) + doubts(ofPendingIn: target)
    let earlier = try progress(in: "\(target.store.path)/\(target.summary.directory)/.repl").earlier
    let isPlaced = earlier?.isPlaced(
      point.reference, in: catalog, isBetweenPoints: target.summary.isSettling)
    if isPlaced != true, catalog.divergence == nil || choice.forces {
      doubts += self.doubts(ofDevicesIn: catalog, earlier)
      doubts += try failing { () throws(StandbyError) in
        try self.doubts(about: catalog) { (takesChanged) throws(StandbyError) in
          try target.store.checkStartable(target.summary, point, takesChanged: takesChanged)
        }
      }
    }
    let values = values(target, id: Self.unknownID)
    return FailoverPlan(
      vm: catalog.vm, name: catalog.displayName, directory: values.directory, point: point.reference,
      frozenAt: point.frozenAt, label: point.label,
      newerPoint: point.reference == newest.reference ? nil : newest.reference,
      lossSeconds: time.wallTime().seconds(since: point.frozenAt),
      isSettling: target.summary.isSettling && !leavesPending(target),
      isFenced: catalog.fence != nil, divergence: catalog.fence == nil ? divergence(of: catalog) : nil,
      doubts: doubts,
      fuzzyRefusal: choice.acceptsFuzzy ? nil : fuzzyRefusal(of: point, in: catalog),
      registerCommand: commands.register.map { FailoverError.quoted($0(self.values(target, id: ""))) },
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

  /// Carries it out. `say` gets a sentence a step, for people. Throws `.fuzzyPoint` when the point is fuzzy
  /// and that was not accepted: nothing is changed then.
  public func run(
    _ target: StandbySearch.Found, _ choice: Choice = Choice(), say: @escaping @Sendable (String) -> Void
  ) async throws(FailoverError) -> Report {
    let outcome: Result<FailoverHold, FailoverError>
    do {
      outcome = try await NamedThread.run("failover") { () -> Result<FailoverHold, FailoverError> in
        do throws(FailoverError) { return .success(try takeHold(target, choice, say: say)) } catch {
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
    _ target: StandbySearch.Found, _ choice: Choice, say: @Sendable (String) -> Void
  ) throws(FailoverError) -> FailoverHold {
    let name = SafeText.printable(target.catalog.displayName)
    let (standby, request) = try failing { () throws(StandbyError) in
      // From here no new pass begins, and a running one ends at its next message.
      let request = try target.store.requestFailover(vm: target.catalog.vm)
      return (try open(target, say: say), request)
    }
    if let standby, standby.catalog.newest == nil, case .failure(let error) = standby.recovery {
      throw .standby(error)
    }
    guard let standby, let request, let newest = standby.catalog.newest else {
      throw .noRecoveryPoint(name)
    }
    let point = try chosenPoint(choice, standby.catalog, newest: newest)
    let doubts = doubts(about: standby.catalog, point.reference)
    if !choice.forces, let refusal = refusal(name, doubts, of: point) { throw refusal }
    // The pass that made way may have brought another point than the plan showed.
    if !choice.acceptsFuzzy, let refusal = fuzzyRefusal(of: point, in: standby.catalog) {
      throw .fuzzyPoint(name, refusal)
    }
    // What the plan showed, by what was known then.
    let shown = try self.newest(of: target).map { (newest) throws(FailoverError) in
      try chosenPoint(choice, target.catalog, newest: newest).reference
    }
    try checkUnsettled(standby, choice, shown: shown, point.reference)
    let (directory, earlier) = try progress(in: "\(standby.path)/.repl")
    let isPlaced = try failing { () throws(StandbyError) in
      earlier?.isPlaced(
        point.reference, in: standby.catalog, isBetweenPoints: try standby.isBetweenPoints()) ?? false
    }
    if !isPlaced {
      if let step = earlier?.step, step > .fenced {
        throw .otherPoint(name, wanted: point.reference, started: standby.disksPoint)
      }
      try checkStartable(standby, choice, point, earlier)
    }
    try failing { () throws(StandbyError) in
      try standby.fence(reason: "failover", point: point.reference, leavesUnsettled: choice.forces)
      say("fenced: epoch \(standby.catalog.epoch), replication to this standby has ended")
      if let left = try journalsLeft(standby) { say(left) }
      try standby.goTo(point.reference, takesChanged: choice.forces, note: say)
      // Once they are placed they are the running VM's, which changes them.
      if isPlaced { return }
      try standby.placeFiles(startable: true)
      say("recovery point \(point.reference) is in the disks, and the VMX is startable")
    }
    let placed = FailoverProgress(
      step: .fenced, registeredID: "", startedAt: time.wallTime(), point: point.reference)
    let progress = isPlaced ? earlier ?? placed : placed
    do throws(IOError) { try progress.save(in: directory) } catch { throw .files("\(error)") }
    return FailoverHold(
      point: point.reference, epoch: standby.catalog.epoch, directory: directory, request: request,
      progress: progress)
  }

  /// Whatever can be found before anything is done for good.
  private func checkStartable(
    _ standby: Standby, _ choice: Choice, _ point: RecoveryPoint, _ earlier: FailoverProgress?
  ) throws(FailoverError) {
    let catalog = standby.catalog
    let found = try failing { () throws(StandbyError) in
      try doubts(about: catalog) { (takesChanged) throws(StandbyError) in
        try standby.checkStartable(point.reference, takesChanged: takesChanged)
      }
    }
    let all = doubts(ofDevicesIn: catalog, earlier) + found
    if !choice.forces, let refusal = refusal(SafeText.printable(catalog.displayName), all, of: point) {
      throw refusal
    }
  }

  /// The point that is asked for; else that of a failover before, else the newest.
  private func chosenPoint(
    _ choice: Choice, _ catalog: Catalog, newest: RecoveryPoint
  ) throws(FailoverError) -> RecoveryPoint {
    guard let wanted = choice.point ?? catalog.fence?.point, wanted != newest.reference else { return newest }
    guard let kept = catalog.kept(wanted) else {
      throw .noSuchPoint(
        SafeText.printable(catalog.displayName), wanted, known: catalog.points.map(\.reference))
    }
    guard choice.forces || !kept.isDamaged else {
      throw .standby(.pointLost(wanted, detail: kept.damage.map(\.detail).joined(separator: "; ")))
    }
    return kept.point
  }

  /// Waits for a pass that runs, and says so.
  private func open(_ target: StandbySearch.Found, say: (String) -> Void) throws(StandbyError) -> Standby? {
    do throws(StandbyError) { return try target.store.open(vm: target.catalog.vm) } catch {
      guard case .lockHeld = error else { throw error }
      say("waiting for a running pass to make way")
      return try target.store.open(vm: target.catalog.vm, waitSeconds: Self.lockWaitSeconds)
    }
  }

  /// What is known of a disk that somebody else wrote.
  func divergence(of catalog: Catalog) -> String? {
    guard let found = catalog.divergence else { return nil }
    let disk = catalog.disk(found.disk)?.dataName ?? "disk \(found.disk)"
    return "on \(found.at) \(disk)" + (found.page.map { ", page \($0)," } ?? "")
      + " was found not to be what replication wrote: \(SafeText.printable(found.detail)); its content is no "
      + "recovery point; \"repl-receiver adopt \(catalog.vm) --verify\" tells what of it is right, also "
      + "without the primary, and the next pass repairs the rest"
  }

  /// Why a fuzzy point is not taken by default; nil for other points, and when a failover to it has begun.
  private func fuzzyRefusal(of point: RecoveryPoint, in catalog: Catalog) -> String? {
    guard point.label == .fuzzy, catalog.fence?.point != point.reference else { return nil }
    let age = FailoverPlan.duration(time.wallTime().seconds(since: point.frozenAt))
    let sound = catalog.kept.last { $0.point.label != .fuzzy && !$0.isDamaged }.map(\.reference)
    let older = sound.map { "take the newest one that is not, with --point \($0); " } ?? ""
    return
      "recovery point \(point.reference), \(age) old, is fuzzy: its disks were read while the VM wrote to "
      + "them, so that filesystems and databases in it may be damaged: \(older)"
      + "let the sender make a pass with the "
      + "VM powered off or with a freeze provider; when there is no such sender any more, take this point "
      + "with --accept-fuzzy and check its filesystems before use"
  }

  private func progress(
    in path: String
  ) throws(FailoverError) -> (directory: PosixDirectory, earlier: FailoverProgress?) {
    do throws(IOError) {
      let directory = try PosixDirectory(path: path)
      return (directory, try FailoverProgress.load(from: directory))
    } catch { throw .files("\(error)") }
  }

  private func failing<Value>(_ body: () throws(StandbyError) -> Value) throws(FailoverError) -> Value {
    do throws(StandbyError) { return try body() } catch { throw .standby(error) }
  }

  private func values(_ target: StandbySearch.Found, id: String) -> FailoverCommands.Values {
    let directory = "\(target.store.path)/\(target.summary.directory)"
    return FailoverCommands.Values(
      vmx: "\(directory)/\(target.catalog.slug).vmx", directory: directory, name: target.catalog.displayName,
      id: id)
  }
}
