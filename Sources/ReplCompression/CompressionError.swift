import ReplModel

/// Why a block could not be packed or unpacked.
public struct CompressionError: ActionableError, Hashable {
  /// A closed set.
  public enum Code: Hashable, Sendable {
    /// The packed bytes do not follow their format, or fail their own checksum.
    case malformed
    /// The packed bytes end before the block is complete.
    case truncated
    /// They hold more than was declared.
    case outputTooLarge
    /// They hold less than was declared.
    case outputTooSmall
    /// Bytes follow the end of the packed block.
    case trailingBytes
    /// The frame wants more memory than is allowed.
    case windowTooLarge
    /// The block is larger than `CompressionLimits.maximumBlockBytes`, or the level is out of range.
    case limit
    /// The library itself failed, for lack of memory as far as is known.
    case library
  }

  /// Which rule was broken.
  public let code: Code
  /// The codec of the block.
  public let codec: Codec
  /// For people.
  public let detail: String

  init(_ code: Code, _ codec: Codec, _ detail: String) {
    self.code = code
    self.codec = codec
    self.detail = detail
  }

  /// What a peer sent is wrong or memory is short: this pass ends, the next one starts afresh.
  public var remedy: Remedy { .abandonPass }

  /// A sentence with the codec, what was found and what was expected.
  public var description: String { "\(codec) block: \(detail)" }
}
