import ReplIO
import ReplModel
import ReplProtocol
import ReplStandby

/// What all sessions of a receiver have in common.
public struct TargetSettings: Sendable {
  /// Bytes that may be unacknowledged at a time; what a cut connection may have to send again.
  public static let windowBytes: Int64 = 64 << 20
  /// After so many bytes the journal is made durable and acknowledged: one sync a span, not one a batch.
  public static let spanBytes: Int64 = 24 << 20
  /// On a slow link spans are acknowledged by time, so that little is lost when it is cut.
  public static let spanSeconds: Double = 2
  /// A page that arrives damaged more often than this is not the network's fault.
  public static let resendLimit = 3

  /// How long a disk that was being seeded in a crash is read at a time: passes of the other disks wait
  /// meanwhile.
  static let readingSeconds: Double = 30

  public let productVersion: String
  public let rpoSeconds: Double
  /// Store names by peer name, where the peer's new standbys do not go to the first store.
  public let storeOfPeer: [String: String]
  public let limits: TargetLimits

  /// What the hello names; less than everything only to stand for an older version.
  var features = Feature.allCases
  /// Shorter only in tests.
  var leaseWaits = LeaseTable.Waits()

  public init(
    productVersion: String, rpoSeconds: Double, storeOfPeer: [String: String],
    limits: TargetLimits = TargetLimits()
  ) {
    self.limits = limits
    self.productVersion = productVersion
    self.rpoSeconds = rpoSeconds
    self.storeOfPeer = storeOfPeer
  }
}
