/// What a daemon says of one VM: the answer of `status`, of `/status` and the source of the metrics.
public struct VMStatus: Sendable, Codable {
  /// In which state replication of the VM is, in one word.
  public enum State: String, Sendable, Codable, CaseIterable {
    /// No recovery point yet.
    case waitingForFirstCopy = "waiting-for-first-copy"
    case seeding
    case running
    case settling
    /// Between passes, the last one went well.
    case idle
    /// The last pass failed; the daemon tries again by itself.
    case failing
    /// A person is needed.
    case stopped
    /// Failed over: fenced, never written again by replication.
    case promoted
    /// Somebody else wrote to the standby.
    case diverged
    /// The standby has differences that nothing explains: failover does not take it unasked.
    case suspect
    /// Seen in a watched folder; no pass runs for it.
    case found = "found-not-protected"
  }

  /// A recovery point.
  public struct Point: Sendable, Codable {
    public var reference: PointReference
    public var frozenAt: WallTime
    public var label: PointLabel
    public init(reference: PointReference, frozenAt: WallTime, label: PointLabel) {
      self.reference = reference
      self.frozenAt = frozenAt
      self.label = label
    }
  }

  /// The last pass that committed.
  public struct Pass: Sendable, Codable {
    public var pass: PassID
    public var startedAt: WallTime
    public var durationSeconds: Double
    /// Bytes of source disk read, found changed, and put on the wire (TLS records included).
    public var readBytes: Int64
    public var changedBytes: Int64
    public var wireBytes: Int64
    /// Where the time went, and what all else waited for; nil where that is not measured.
    public var stages: StageSeconds?
    public var bottleneck: Bottleneck?
    public init(
      pass: PassID, startedAt: WallTime, durationSeconds: Double, readBytes: Int64, changedBytes: Int64,
      wireBytes: Int64
    ) {
      self.pass = pass
      self.startedAt = startedAt
      self.durationSeconds = durationSeconds
      self.readBytes = readBytes
      self.changedBytes = changedBytes
      self.wireBytes = wireBytes
    }
  }

  /// The pass that runs now.
  public struct Running: Sendable, Codable {
    public var pass: PassID
    /// `freeze`, `connect`, `compare`, `send`, `commit`, `settle`, `prove`, `recover`.
    public var phase: String
    public var startedAt: WallTime
    /// Of `totalBytes` of disk, how many are dealt with.
    public var doneBytes: Int64
    public var totalBytes: Int64
    public var wireBytes: Int64
    /// What the pass has waited for most until now.
    public var bottleneck: Bottleneck?
    public init(
      pass: PassID, phase: String, startedAt: WallTime, doneBytes: Int64, totalBytes: Int64, wireBytes: Int64
    ) {
      self.pass = pass
      self.phase = phase
      self.startedAt = startedAt
      self.doneBytes = doneBytes
      self.totalBytes = totalBytes
      self.wireBytes = wireBytes
    }
  }

  /// The last failure that was not followed by a success.
  public struct Failure: Sendable, Codable {
    public var at: WallTime
    public var phase: String
    /// What happened and what to do, in one sentence for people.
    public var cause: String
    public var remedy: Remedy
    public init(at: WallTime, phase: String, cause: String, remedy: Remedy) {
      self.at = at
      self.phase = phase
      self.cause = cause
      self.remedy = remedy
    }
  }

  public var vm: VMID
  public var name: String
  /// The name of the other side's peer, where it is known.
  public var peer: String?
  public var state: State
  /// The newest point that failover would take by default; the lag is its age.
  public var newestPoint: Point?
  /// A fuzzy point that is newer: it is there, but failover takes it only when told to.
  public var fuzzyPoint: Point?
  /// How many points are kept, and the oldest of them; nil where that is not known.
  public var pointCount: Int?
  public var oldestPoint: Point?
  public var rpoSeconds: Double
  public var lastPass: Pass?
  public var running: Running?
  public var lastFailure: Failure?
  /// Whether the next point is expected in time; nil where no daemon looks ahead.
  public var rpoForecast: Forecast?
  /// Of all passes that committed since the daemon started; nil before the first.
  public var stageSeconds: StageSeconds?
  /// Passes since the daemon started, committed and failed.
  public var passesCommitted: UInt64
  public var passesFailed: UInt64
  /// Every disk that is known of the VM; nil before the first look.
  public var disks: [Disk]?
  /// How the last view was held; nil before the first.
  public var lastFreeze: Freeze?
  /// What change hints did for the last pass; nil without them.
  public var hint: Hint?
  /// What a broken-off freeze left and could not be removed, in one sentence for people; nil when nothing.
  public var leftovers: String?
  /// The VMX file, absolute, at the primary site.
  public var vmxPath: String?
  /// Differences that were found and are not repaired; nil when there are none.
  public var suspicion: Doubt?
  /// Since when somebody else's hand is on the standby; nil when it is not.
  public var divergence: Doubt?
  /// When the standby disks were last read again; nil when they never were.
  public var verification: Verification?
  /// Of a VM that was found and is not protected: how to protect it.
  public var found: Found?
  /// The other side's clock minus this one's, as the last connection of the VM measured it.
  public var clockSkewSeconds: Double?
  /// What it sends and may send; nil where nothing is limited or counted.
  public var bandwidth: BandwidthStatus?

  public init(vm: VMID, name: String, peer: String?, state: State, rpoSeconds: Double) {
    self.vm = vm
    self.name = name
    self.peer = peer
    self.state = state
    self.rpoSeconds = rpoSeconds
    passesCommitted = 0
    passesFailed = 0
  }

  /// A difference of clocks that a person should look at: more than a slow connection makes it seem.
  public static let clockSkewLimitSeconds = 60.0

  /// The state when no pass runs and none ended just now, as far as points and failures tell.
  public var restingState: State {
    if lastFailure != nil { return .failing }
    return latestPoint == nil ? .waitingForFirstCopy : .idle
  }

  /// The newest point of any label.
  public var latestPoint: Point? {
    guard let fuzzyPoint else { return newestPoint }
    guard let newestPoint, newestPoint.reference > fuzzyPoint.reference else { return fuzzyPoint }
    return newestPoint
  }

  /// Enters a point that was committed just now where it belongs: a fuzzy one never makes the lag smaller.
  public mutating func enter(_ point: Point) {
    if point.label == .fuzzy {
      fuzzyPoint = point
    } else {
      newestPoint = point
      fuzzyPoint = nil
    }
  }

  /// Now minus the freeze time of the newest point; nil before the first point.
  public func lagSeconds(now: WallTime) -> Double? { newestPoint.map { now.seconds(since: $0.frozenAt) } }
}
