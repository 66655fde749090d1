/// The limits of this module.
public enum CompressionLimits {
  /// The largest block that is packed or unpacked, bytes. A batch holds at most 1 MiB; the rest is room for
  /// its worst case growth. It also keeps every length inside zlib's 32-bit counters.
  public static let maximumBlockBytes = 4 << 20

  /// The largest Zstandard window, as a power of two: 8 MiB, which RFC 8878 asks every decoder to support.
  /// A block is smaller, so no honest frame needs more, and a frame that declares 2 GiB is refused before
  /// anything is reserved.
  public static let maximumWindowLog = 23

  /// Levels that both libraries know. Level 1 is the default: higher ones cost more time than a fast link
  /// gains.
  public static let levels = 1...9

  /// The probe's verdict needs this many samples: fewer cannot show 7.85 bits reliably, so shorter blocks
  /// are always tried.
  static let minimumProbeSamples = 1900
}
