/// The limits of everything that a peer can send. Checked before anything is allocated.
public struct ProtocolLimits: Sendable {
  /// The limits of version 1.
  public static let standard = ProtocolLimits()

  /// JSON is parsed whole; an offer of 64 disks with their facts is the largest that is honestly needed.
  public var controlBytes = 1 << 20
  /// Deeper than any message of ours (7), far below what a recursive parser can stand.
  public var jsonDepth = 16
  /// One chunk of the scan: what a run, a read and a compression are cut to.
  public var batchRawBytes = 1 << 20
  /// Header and run table of a batch.
  public var batchOverheadBytes = 64 << 10
  /// 256 single pages of 4 KiB with zero runs between them need 513.
  public var runsPerBatch = 4096
  /// Node and leaf bodies: 8192 hashes, or 64 leaves (64 MiB of disk at 4 KiB pages).
  public var treeBodyBytes = 256 << 10
  /// A VMX has a few KiB, an EFI NVRAM a few hundred.
  public var fileBytes = 1 << 20
  /// VMware's limit of SCSI disks with four controllers is 256; more than 64 are not met in practice.
  public var disks = 64
  /// Bytes of a name (display name, peer name).
  public var nameBytes = 255
  /// Names in a hello.
  public var features = 64
  /// Bytes of a feature or codec name.
  public var featureBytes = 64
  /// Codec names in a hello.
  public var codecs = 16
  /// Entries of the disk data base kept per disk.
  public var facts = 64
  /// Bytes of a key, and of a value.
  public var factBytes = 256
  /// Ranges of one `resend`: one batch never has more data runs.
  public var resendRanges = 4096
  /// Characters of an error's text; the rest is cut.
  public var errorTextCharacters = 1024
  /// Characters of a goodbye.
  public var reasonCharacters = 256
  /// Smallest batch a peer may insist on: the largest page.
  public var smallestBatchBytes = 64 << 10
  /// Places named of a disk that differs; the first one is what a person looks at.
  public var differingPlaces = 16
  /// PEM of a public key: RSA with 16384 bits takes 2.8 KiB.
  public var publicKeyBytes = 8 << 10
  /// Base64 of a signature: the same key's takes 2.7 KiB.
  public var signatureBytes = 4 << 10
  /// Less than 64 KiB cannot hold a page; more than 1 GiB is unbounded in practice.
  public var windowBytes: ClosedRange<Int64> = (64 << 10)...(1 << 30)
  /// A day: longer waits would look like a stop.
  public var retryAfterSeconds = 86_400

  public init() {}

  /// The allowed payload lengths of a type, both ends included.
  public func payloadLengths(of type: MessageType) -> ClosedRange<Int> {
    switch type {
    case .heartbeat: 0...0
    case .nodes, .leaves: TreeAnswer.headerByteCount...(TreeAnswer.headerByteCount + treeBodyBytes)
    case .batch: (BatchMessage.headerByteCount + 2)...(batchRawBytes + batchOverheadBytes)
    case .file: FileMessage.headerByteCount...(FileMessage.headerByteCount + fileBytes)
    default: 2...controlBytes
    }
  }

  /// The largest payload of any type: the size of a buffer that is used for all of them.
  public var largestPayloadBytes: Int {
    MessageType.allCases.map { payloadLengths(of: $0).upperBound }.max() ?? 0
  }
}

/// The deadlines of WireProtocol.md, in seconds.
public enum ProtocolTimeouts {
  /// From the start of the TCP connect until both hellos are read.
  public static let handshakeSeconds: Double = 10
  /// Between two heartbeats: two may be lost before the idle deadline.
  public static let heartbeatSeconds: Double = 10
  /// Nothing at all received.
  public static let idleSeconds: Double = 30
  /// While streaming: the age of the oldest frame that is not acknowledged.
  public static let unacknowledgedSeconds: Double = 300

  /// While disks are read again for a proof: between two messages of the side that reads, each of which tells
  /// of more bytes than the one before.
  public static let readingSeconds: Double = 300
  /// How often a side that reads tells how far it is.
  public static let readingPeriodSeconds: Double = 5

  /// After a source's goodbye in a seed: the target makes everything durable before it answers.
  public static let seedGoodbyeSeconds: Double = 60

  /// How long a session may stay in a state; nil where only the idle and acknowledgement deadlines hold.
  public static func seconds(in phase: SessionState.Phase) -> Double? {
    switch phase {
    case .greeting, .helloSent, .helloReceived: handshakeSeconds
    case .ready: 60
    case .keyWanted: 30
    case .offered, .seedOffered: 600
    case .streaming, .seeding: nil
    case .nodesWanted, .leavesWanted, .seedNodesWanted, .seedLeavesWanted: 60
    case .committing: 600
    case .committed: 3600
    case .settled, .proven: 30
    case .proofReading, .proving: readingSeconds
    case .peerLeft, .leaving: 5
    case .closed: 0
    }
  }
}
