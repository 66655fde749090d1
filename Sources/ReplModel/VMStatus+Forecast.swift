/// The part of a pass that all others wait for.
public enum Bottleneck: String, Sendable, Codable, Hashable, CaseIterable {
  case freeze
  case sourceRead = "source-read"
  case digest
  case codec
  case link
  case targetWrite = "target-write"

  /// What helps, for people.
  public var advice: String {
    switch self {
    case .freeze: "look at the freeze provider and its hooks: most of the pass is spent there"
    case .sourceRead: "the source's storage is read too slowly: faster storage, or fewer passes at a time"
    case .digest: "digesting takes all processors: more of them, or fewer passes at a time"
    case .codec: "compressing takes all processors: more of them, compression zstd or none"
    case .link: "the link is full: more bandwidth or a higher limit, compression, or a longer rpo"
    case .targetWrite: "the receiver's storage is written too slowly: faster storage, or a longer rpo"
    }
  }
}

extension VMStatus {
  /// Seconds that the stages of passes took. Reading, digest and codec: of all threads together, at work;
  /// link and target: what the one writer waited for them.
  public struct StageSeconds: Sendable, Codable, Hashable {
    public var freeze: Double
    public var sourceRead: Double
    public var digest: Double
    public var codec: Double
    public var link: Double
    public var targetWrite: Double

    public init(
      freeze: Double = 0, sourceRead: Double = 0, digest: Double = 0, codec: Double = 0, link: Double = 0,
      targetWrite: Double = 0
    ) {
      self.freeze = freeze
      self.sourceRead = sourceRead
      self.digest = digest
      self.codec = codec
      self.link = link
      self.targetWrite = targetWrite
    }

    /// Every stage with its seconds, in the order of the pipeline.
    public var all: [(Bottleneck, Double)] {
      [
        (.freeze, freeze), (.sourceRead, sourceRead), (.digest, digest), (.codec, codec), (.link, link),
        (.targetWrite, targetWrite),
      ]
    }

    /// Stage by stage.
    public static func + (left: Self, right: Self) -> Self {
      StageSeconds(
        freeze: left.freeze + right.freeze, sourceRead: left.sourceRead + right.sourceRead,
        digest: left.digest + right.digest, codec: left.codec + right.codec, link: left.link + right.link,
        targetWrite: left.targetWrite + right.targetWrite)
    }
  }

  /// Whether the next recovery point is expected in time, as the sender's daemon sees it now.
  public struct Forecast: Sendable, Codable, Hashable {
    /// In one word.
    public enum Verdict: String, Sendable, Codable, CaseIterable {
      /// The next point is expected before the objective is missed.
      case met
      /// Nothing that was measured allows to say.
      case unknown
      /// The objective will be missed unless something changes.
      case atRisk = "at-risk"
      /// It is missed now.
      case missed
    }

    public var verdict: Verdict
    /// When the newest point becomes older than the objective allows; nil before the first point.
    public var breachAt: WallTime?
    /// When the next point is expected to exist; nil when that is not known.
    public var commitAt: WallTime?
    /// The lag right before that.
    public var lagSeconds: Double?
    /// What the pass that runs, or the last one, waits for.
    public var bottleneck: Bottleneck?
    /// Why, in a sentence for people.
    public var reason: String

    public init(
      verdict: Verdict, breachAt: WallTime? = nil, commitAt: WallTime? = nil, lagSeconds: Double? = nil,
      bottleneck: Bottleneck? = nil, reason: String
    ) {
      self.verdict = verdict
      self.breachAt = breachAt
      self.commitAt = commitAt
      self.lagSeconds = lagSeconds
      self.bottleneck = bottleneck
      self.reason = reason
    }
  }
}
