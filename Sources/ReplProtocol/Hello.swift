import ReplCompression
import ReplModel

/// The first frame of each side: who this is and what it can do.
public struct Hello: ControlMessage, Hashable {
  public static let type = MessageType.hello

  /// The most that this side accepts from the other.
  public struct Bounds: Codable, Hashable, Sendable {
    /// Raw bytes of a batch.
    public var batchBytes: Int
    /// Disks of an offer.
    public var disks: Int
    public init(batchBytes: Int = 1 << 20, disks: Int = 64) {
      self.batchBytes = batchBytes
      self.disks = disks
    }
  }

  /// Product version, as in the banner.
  public var product: String
  /// The protocol version that the banners gave.
  public var protocolVersion: UInt16
  /// Which side of the pass the sender of this hello is.
  public var role: SessionRole
  /// Names of what this side can do; with `!` before it, what the other must be able to do as well.
  public var features: [String]
  /// Codec names; those that this version does not know are kept and never agreed on.
  public var codecs: [String]
  /// A name for people; 1 to 255 bytes. Nobody reads it yet.
  public var peerName: String?
  /// The digest key that this side holds for the other.
  public var digestKeyOnFile: KeyID?
  /// For the clock skew only.
  public var wallTime: WallTime
  /// The most that this side accepts.
  public var limits: Bounds

  /// A hello with everything that this version can do.
  public init(
    product: String, protocolVersion: UInt16, role: SessionRole,
    features: [String] = Feature.allCases.map(\.rawValue), codecs: [Codec] = Codec.allCases,
    peerName: String? = nil, digestKeyOnFile: KeyID?, wallTime: WallTime, limits: Bounds = Bounds()
  ) {
    self.product = product
    self.protocolVersion = protocolVersion
    self.role = role
    self.features = features
    self.codecs = codecs.map(\.name)
    self.peerName = peerName
    self.digestKeyOnFile = digestKeyOnFile
    self.wallTime = wallTime
    self.limits = limits
  }

  enum CodingKeys: String, CodingKey {
    case product, role, features, codecs, peerName, digestKeyOnFile, wallTime, limits
    case protocolVersion = "protocol"
  }

  public func validate(_ limits: ProtocolLimits) throws(ProtocolError) {
    try require(Banner.isProduct(product), "product", product, expected: "a version such as 0.1.0")
    try require(protocolVersion >= 1, "protocol", "\(protocolVersion)", expected: "1 or more")
    try require(
      features.count <= limits.features, "features", "\(features.count) names",
      expected: "at most \(limits.features)")
    try require(
      codecs.count <= limits.codecs, "codecs", "\(codecs.count) names", expected: "at most \(limits.codecs)")
    for name in features + codecs {
      try require(
        (1...limits.featureBytes).contains(name.utf8.count), "features or codecs",
        "a name of \(name.utf8.count) bytes", expected: "1 to \(limits.featureBytes)")
    }
    for codec in [Codec.raw, .zlib] {
      try require(
        codecs.contains(codec.name), "codecs", codecs.joined(separator: ","),
        expected: "\(codec.name) among them: every peer speaks it")
    }
    if let peerName { try requireName(peerName, "peerName", limits) }
    try validateBounds(limits)
  }

  private func validateBounds(_ limits: ProtocolLimits) throws(ProtocolError) {
    let batch = limits.smallestBatchBytes...limits.batchRawBytes
    try require(
      batch.contains(self.limits.batchBytes), "limits.batchBytes", "\(self.limits.batchBytes)",
      expected: "\(batch.lowerBound) to \(batch.upperBound)")
    try require(
      (1...limits.disks).contains(self.limits.disks), "limits.disks", "\(self.limits.disks)",
      expected: "1 to \(limits.disks)")
  }
}
