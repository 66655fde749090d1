import ReplModel

/// What `StageTimes` has counted until some moment, and what follows from it.
public struct StageReading: Sendable, Hashable {
  /// Of all reader and all codec threads together.
  public var readSeconds: Double
  public var digestSeconds: Double
  public var codecSeconds: Double
  /// Of the one writer.
  public var windowSeconds: Double
  public var linkSeconds: Double
  public var waits: ScanWaits
  /// How long the target has worked until its commit; nil when it does not tell.
  public var targetBusySeconds: Double?
  /// Until the view stood.
  public var freezeSeconds: Double
  /// From the end of the stream until the target has answered the commit: also the time in which what the
  /// socket still holds comes through.
  public var commitSeconds: Double
  /// From then until the target has settled.
  public var settleSeconds: Double

  public init(
    readSeconds: Double = 0, digestSeconds: Double = 0, codecSeconds: Double = 0, windowSeconds: Double = 0,
    linkSeconds: Double = 0, waits: ScanWaits = ScanWaits(), targetBusySeconds: Double? = nil,
    freezeSeconds: Double = 0, commitSeconds: Double = 0, settleSeconds: Double = 0
  ) {
    self.readSeconds = readSeconds
    self.digestSeconds = digestSeconds
    self.codecSeconds = codecSeconds
    self.windowSeconds = windowSeconds
    self.linkSeconds = linkSeconds
    self.waits = waits
    self.targetBusySeconds = targetBusySeconds
    self.freezeSeconds = freezeSeconds
    self.commitSeconds = commitSeconds
    self.settleSeconds = settleSeconds
  }

  /// Seconds a stage. What the sender waits for the other side, be it in the socket, for an acknowledgement
  /// or for the commit, is the target's as long as the target worked, and the link's otherwise: a receiver
  /// that is busy does not read, and one that waits has nothing to read.
  public var stages: VMStatus.StageSeconds {
    var (link, target) = (linkSeconds, windowSeconds + commitSeconds)
    if let busy = targetBusySeconds {
      let waited = link + target
      target = min(waited, busy)
      link = waited - target
    }
    return VMStatus.StageSeconds(
      freeze: freezeSeconds, sourceRead: readSeconds, digest: digestSeconds, codec: codecSeconds, link: link,
      targetWrite: target + settleSeconds)
  }

  /// What the pass waited for most of its time; nil while nothing was measured.
  ///
  /// The writer is the end of the pipeline: it waits for the other side, or for a batch. In the latter case
  /// readers and codec threads wait for each other, and whoever waits less is the slow one.
  public var bottleneck: Bottleneck? {
    let stages = stages
    let candidates: [(Bottleneck, Double)] = [
      (.freeze, stages.freeze), (.link, stages.link), (.targetWrite, stages.targetWrite),
      (producer, waits.writer),
    ]
    guard let greatest = candidates.max(by: { $0.1 < $1.1 }), greatest.1 > 0 else { return nil }
    return greatest.0
  }

  private var producer: Bottleneck {
    if waits.readers > waits.codec, codecSeconds > 0 { return .codec }
    return readSeconds >= digestSeconds ? .sourceRead : .digest
  }
}
