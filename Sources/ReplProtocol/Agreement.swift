import ReplCompression
import ReplModel

/// What two hellos have in common. Both sides compute the same from the same two messages.
public struct Agreement: Hashable, Sendable {
  /// The version that both hellos name.
  public let protocolVersion: UInt16
  /// What both can do: for `SessionState.agree(on:)`.
  public let features: Set<Feature>
  /// Always with raw and zlib.
  public let codecs: Set<Codec>
  /// Raw bytes of a batch: the smaller of both bounds.
  public let batchBytes: Int
  /// Disks of an offer: the smaller of both bounds.
  public let disks: Int
  /// The peer's clock minus ours when its hello was read. Shown, warned of, and never used for
  /// ordering.
  public let clockSkewSeconds: Double

  /// zstd where both have it, else zlib.
  public var preferredCodec: Codec { codecs.contains(.zstd) ? .zstd : .zlib }

  /// The limits of this session: pass them to everything that encodes or decodes after the hellos.
  public var limits: ProtocolLimits {
    var limits = ProtocolLimits.standard
    limits.batchRawBytes = batchBytes
    limits.disks = disks
    return limits
  }

  /// `now` is this side's clock at the moment the peer's hello was read.
  public init(local: Hello, remote: Hello, now: WallTime) throws(ProtocolError) {
    guard local.role != remote.role else { throw .sameRole(local.role) }
    guard local.protocolVersion == remote.protocolVersion else {
      throw .value(
        .hello, field: "protocol", found: "\(remote.protocolVersion)",
        expected: "\(local.protocolVersion), which the banners gave")
    }
    let ours = try Self.features(of: local)
    let theirs = try Self.features(of: remote)
    protocolVersion = local.protocolVersion
    features = ours.intersection(theirs)
    codecs = Set(
      Codec.allCases.filter { local.codecs.contains($0.name) && remote.codecs.contains($0.name) })
    batchBytes = min(local.limits.batchBytes, remote.limits.batchBytes)
    disks = min(local.limits.disks, remote.limits.disks)
    clockSkewSeconds =
      (Double(remote.wallTime.millisecondsSince1970) - Double(now.millisecondsSince1970)) / 1000
    for name in remote.features where name.hasPrefix("!") {
      guard let feature = Feature(rawValue: String(name.dropFirst())), features.contains(feature) else {
        throw .mandatoryFeature(SafeText.printable(name.dropFirst()))
      }
    }
  }

  private static func features(of hello: Hello) throws(ProtocolError) -> Set<Feature> {
    Set(hello.features.compactMap { Feature(rawValue: String($0.hasPrefix("!") ? $0.dropFirst() : $0[...])) })
  }
}
