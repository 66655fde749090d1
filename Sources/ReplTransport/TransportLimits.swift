import ReplProtocol

/// Every limit of this module, with its reason.
enum TransportLimits {
  /// RFC 1035: a DNS name in text.
  static let hostBytes = 253
  /// Addresses of one name that are tried.
  static let addressesPerName = 8
  /// Small parts are gathered up to this much before they are encrypted; sixteen full TLS records.
  static let stagingBytes = 256 * 1024
  /// What a peer must take within one stall deadline; 8 s at 64 kbit/s.
  static let sliceBytes = 64 * 1024
  /// A receive buffer starts with this and grows to the largest frame that a peer really sends.
  static let firstBufferBytes = 64 * 1024
  /// Connections that the kernel completes before we take them; when they are full it drops attempts, and
  /// an honest peer loses a second.
  static let backlog: Int32 = 512
  /// Wait after the system was out of descriptors or memory; doubled each time up to the second value.
  static let firstBackoffSeconds = 0.05
  static let longestBackoffSeconds = 1.0
  /// Addresses that have authenticated lately and may use the reserved places.
  static let rememberedAddresses = 64
  /// Connections that were told to make room and whose threads have not ended yet: a wake-up away, each.
  static let leavingConnections = 16
  /// How long a new connection waits for that.
  static let leavingSeconds = 0.5
  /// Unsent or unacknowledged data older than this ends the connection (TCP_USER_TIMEOUT, RFC 5482).
  static let userTimeoutMilliseconds: Int32 = 30_000
  /// Keepalive: first probe after, then every, and how many: a dead peer shows within 30 s even on a silent
  /// connection.
  static let keepAlive: (idleSeconds: Int32, intervalSeconds: Int32, probes: Int32) = (15, 5, 3)
}
