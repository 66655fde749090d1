import ReplCompression
import ReplModel
import ReplProtocol
import ReplTLS
import ReplTransport

/// What all passes of a sender have in common.
public struct SourceSettings: Sendable {
  /// Which codec is used when the receiver has it.
  public enum Compression: String, Sendable, CaseIterable {
    /// zstd where both have it, else zlib.
    case auto, zlib, zstd, none
  }

  public let receiver: HostPort
  public let tls: TLSContext
  public let productVersion: String
  public let pageSizeBytes: Int
  public let compression: Compression
  /// How often a cut connection is taken up again without any progress in between.
  public let retryLimit: Int
  /// The pace of each connection; nil for as fast as it goes.
  public var makePace: (@Sendable () -> any SendPace)?
  /// Told of the receiver's clock minus ours, at each greeting.
  public var onClockSkew: (@Sendable (_ seconds: Double) -> Void)?

  public init(
    receiver: HostPort, tls: TLSContext, productVersion: String, pageSizeBytes: Int = 4096,
    compression: Compression = .auto, retryLimit: Int = 8
  ) {
    self.receiver = receiver
    self.tls = tls
    self.productVersion = productVersion
    self.pageSizeBytes = pageSizeBytes
    self.compression = compression
    self.retryLimit = retryLimit
  }

  var transport: TransportOptions {
    .ours(product: productVersion, program: .sender)
  }

  func codec(_ agreement: Agreement) -> Codec {
    switch compression {
    case .none: .raw
    case .zlib: .zlib
    case .zstd where agreement.codecs.contains(.zstd): .zstd
    case .zstd: .zlib
    case .auto: agreement.preferredCodec
    }
  }
}

extension TransportOptions {
  /// `product` is our own version, which always makes a banner.
  static func ours(product: String, program: Banner.Program) -> TransportOptions {
    guard let banner = Banner(product: product) else { preconditionFailure("\(product) is no version") }
    return TransportOptions(banner: banner, program: program)
  }
}
