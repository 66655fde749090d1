import Foundation
import ReplDigest
import ReplIO
import ReplModel
import ReplProtocol
import ReplStandby
import ReplTLS
import ReplTestKit
import ReplTransport
import Synchronization

@testable import ReplPass
@testable import ReplSource

/// A disk of the source, in memory.
final class MemoryDisk: BlockReadable {
  let bytes: [UInt8]
  /// Called with the offset of every read.
  private let onRead: @Sendable (Int64) -> Void

  init(_ bytes: [UInt8], onRead: @escaping @Sendable (Int64) -> Void = { _ in }) {
    self.bytes = bytes
    self.onRead = onRead
  }

  var sizeBytes: Int64 { Int64(bytes.count) }

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int64) throws(IOError) {
    onRead(offset)
    bytes.withUnsafeBytes {
      buffer.copyMemory(from: .init(rebasing: $0[Int(offset)..<(Int(offset) + buffer.count)]))
    }
  }

  func forgetCached(_ range: ByteRange) throws(IOError) {}

  func allocatedRange(atOrAfter offset: Int64) throws(IOError) -> ByteRange? {
    offset < sizeBytes ? ByteRange(offset: offset, length: sizeBytes - offset) : nil
  }
}

/// A sender and a receiver over real TLS on loopback, each on a simulated machine that can lose power.
final class Pair: Sendable {
  static let vm = VMID(high: 0x564D, low: 1)
  static let disks = [DiskID(high: 0xD, low: 0), DiskID(high: 0xD, low: 1)]

  private struct Current {
    var sender: SimulatedMachine
    var receiver: SimulatedMachine
    var service: TargetService?
    var epoch: Epoch?
    var failures: [String] = []
    var open: [FrameConnection] = []
    /// Of the receiver's settings.
    var limits = TargetLimits()
    var leaseWaits = LeaseTable.Waits()
    var time: any TimeSource = SystemTime()
    var events: [TargetService.Event] = []
    /// What is put between the receiver and the root of its store.
    var wrapRoot: @Sendable (any StorageDirectory) -> any StorageDirectory = { $0 }
  }

  private let current: Mutex<Current>
  private let listener: Listener
  /// The sender's and the receiver's: a relay between them has both.
  let tls: TLSContext
  let serverTLS: TLSContext
  /// Of another sender that the receiver knows as `other`.
  private let otherTLS: TLSContext
  private let folder: String
  private let targetIdentity: TLSIdentity

  init() throws {
    folder = NSTemporaryDirectory() + "vmrepl-pair-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    let source = try TLSIdentity.create(in: folder + "/source", name: "source")
    let target = try TLSIdentity.create(in: folder + "/target", name: "target")
    targetIdentity = target
    tls = try TLSContext(
      role: .client, identity: source,
      policy: PeerPolicy(pinned: [.init(name: "receiver", fingerprint: target.fingerprint)]))
    let other = try TLSIdentity.create(in: folder + "/other", name: "other")
    otherTLS = try TLSContext(
      role: .client, identity: other,
      policy: PeerPolicy(pinned: [.init(name: "receiver", fingerprint: target.fingerprint)]))
    serverTLS = try TLSContext(
      role: .server, identity: target,
      policy: PeerPolicy(pinned: [
        .init(name: "primary", fingerprint: source.fingerprint),
        .init(name: "other", fingerprint: other.fingerprint),
      ]))
    listener = try Listener(
      address: HostPort(host: "127.0.0.1", port: 0), context: serverTLS,
      options: TargetService.transport(productVersion: "0.1.0"))
    let receiver = SimulatedMachine(disks: ["store", "state"])
    _ = try StandbyStore.initialize(root: receiver.disk("store"), time: ManualTime())
    current = Mutex(Current(sender: SimulatedMachine(disks: ["state"]), receiver: receiver))
    try startReceiver()
    listener.start { [self] connection in
      current.withLock { $0.open.append(connection) }
      if let service = current.withLock({ $0.service }) { service.serve(connection) }
    } onRefused: { [self] refused in
      current.withLock { $0.failures.append("\(refused)") }
    }
  }

  func end() {
    listener.stop()
    // Best effort: a leftover in the temporary folder harms nobody.
    try? FileManager.default.removeItem(atPath: folder)
  }

  var sender: SimulatedMachine { current.withLock { $0.sender } }
  var receiver: SimulatedMachine { current.withLock { $0.receiver } }

  /// For the receiver's next start.
  func set(limits: TargetLimits) { current.withLock { $0.limits = limits } }
  func set(time: any TimeSource) { current.withLock { $0.time = time } }
  func set(leaseWaits: LeaseTable.Waits) { current.withLock { $0.leaseWaits = leaseWaits } }
  func wrapRoot(_ wrap: @escaping @Sendable (any StorageDirectory) -> any StorageDirectory) {
    current.withLock { $0.wrapRoot = wrap }
  }

  func store() throws -> StandbyStore {
    try StandbyStore(
      root: current.withLock { $0.wrapRoot }(receiver.disk("store")), state: receiver.disk("state"),
      receiver: ReceiverID(high: 7, low: 7),
      time: ManualTime(), files: NoFiles(), freeSpaceFloorBytes: 0)
  }

  /// Starts the receiver's service on its machine as it is now, recovery included.
  func startReceiver(features: [Feature] = Feature.allCases) throws {
    let keys = TargetKeys(directory: try receiver.disk("state").createDirectory("keys"))
    var settings = TargetSettings(
      productVersion: "0.1.0", rpoSeconds: 900, storeOfPeer: [:], limits: current.withLock { $0.limits })
    settings.features = features
    settings.leaseWaits = current.withLock { $0.leaseWaits }
    let service = TargetService(
      receiver: ReceiverID(high: 7, low: 7), settings: settings,
      stores: StoreShelf([("main", try store())]), keys: keys, board: try StatusBoard(directory: nil),
      time: current.withLock { $0.time },
      desk: try ProofDesk(identity: targetIdentity, state: receiver.disk("state")),
      report: { [weak self] event in self?.current.withLock { $0.events.append(event) } })
    service.recover()
    current.withLock { $0.service = service }
  }

  /// The receiver's daemon begins to end.
  func stopReceiver() { current.withLock { $0.service }?.stop() }

  /// What the receiver has reported.
  var events: [TargetService.Event] { current.withLock { $0.events } }

  /// What the receiver says of the VM.
  var status: VMStatus? { current.withLock { $0.service }?.board[Self.vm] }

  /// Power comes back at one side after a cut, with what survived.
  func restartReceiver(_ survivors: Survivors) {
    current.withLock { $0.receiver = $0.receiver.restart(survivors) }
  }
  func restartSender(_ survivors: Survivors) { current.withLock { $0.sender = $0.sender.restart(survivors) } }
  /// The sender's machine is lost with all that was on it.
  func replaceSender() { current.withLock { $0.sender = SimulatedMachine(disks: ["state"]) } }

  /// The network breaks under all connections that are open now.
  func cutConnections() {
    let open = current.withLock { current in
      defer { current.open = [] }
      return current.open
    }
    for connection in open { connection.interrupt() }
  }

  /// A connection for a test that speaks by hand, of the pair's sender or of the other one.
  func connect(asOther: Bool = false) throws -> FrameConnection {
    try FrameConnection.connect(
      to: HostPort(host: "127.0.0.1", port: listener.localPort), context: asOther ? otherTLS : tls,
      options: .ours(product: "0.1.0", program: .sender))
  }

  /// One pass of a new sender process on the sender's machine.
  func pass(
    _ images: [[UInt8]], vmx: String = "displayName = \"web01\"\n", through port: UInt16? = nil
  ) throws -> SourcePass.Report {
    try pass(view(images.map { MemoryDisk($0) }, vmx: vmx), through: port)
  }

  /// A view of disks in memory.
  func view(
    _ images: [MemoryDisk], ids: [DiskID] = Pair.disks, vmx: String = "displayName = \"web01\"\n"
  ) -> VMView {
    let disks = zip(ids, images).enumerated().map { index, pair in
      ViewDisk(
        id: pair.0, slot: DiskSlot(bus: .scsi, controller: 0, unit: index)!, image: pair.1,
        facts: DiskFacts(entries: []))
    }
    return VMView(
      vm: Self.vm, displayName: "web01", frozenAt: SystemTime().wallTime(), label: .crashConsistent,
      disks: disks,
      vmx: Array(vmx.utf8), nvram: nil,
      stillness: Stillness(vmxPath: "\(folder)/web01.vmx", files: []))
  }

  /// Where the receiver listens.
  var port: UInt16 { listener.localPort }
  /// Connections that the receiver has not let go of.
  var connectionCount: Int { listener.connectionCount }
  /// Connections that were not let in, as sentences.
  var failures: [String] { current.withLock { $0.failures } }

  /// `through` is where the sender connects to, when it is not the receiver.
  func settings(retryLimit: Int = 1, through port: UInt16? = nil) -> SourceSettings {
    SourceSettings(
      receiver: HostPort(host: "127.0.0.1", port: port ?? self.port), tls: tls, productVersion: "0.1.0",
      retryLimit: retryLimit)
  }

  var epoch: Epoch? { current.withLock { $0.epoch } }

  /// One pass of a new sender process on the sender's machine.
  func pass(
    _ view: VMView, through port: UInt16? = nil, retryLimit: Int = 1, hints: ViewHints? = nil
  ) throws -> SourcePass.Report {
    let pass = SourcePass(
      view: view, settings: settings(retryLimit: retryLimit, through: port),
      state: try SourceState(root: sender.disk("state")),
      lastEpoch: epoch,
      stop: StopSignal(), hints: hints, time: SystemTime(), progress: { _ in })
    let report = try pass.run()
    current.withLock { $0.epoch = report.point.reference.epoch }
    return report
  }

  /// What the standby disks hold; nil before they exist.
  func standby() throws -> (images: [[UInt8]], catalog: Catalog, isSettling: Bool)? {
    let all = try store().standbys()
    guard let summary = all.first(where: { $0.catalog?.vm == Self.vm }), let catalog = summary.catalog
    else { return nil }
    let home = try receiver.disk("store").openDirectory(summary.directory)
    var images: [[UInt8]] = []
    for disk in Self.disks {
      guard let entry = catalog.disk(disk), try home.contains(entry.flatFileName) else { return nil }
      let file = try home.openFile(entry.flatFileName, .read)
      var bytes = [UInt8](repeating: 0, count: Int(try file.currentSizeBytes()))
      try bytes.withUnsafeMutableBytes { try file.read(into: $0, at: 0) }
      images.append(bytes)
    }
    return (images, catalog, summary.isSettling)
  }
}

/// No descriptors and no VMX: this pair is about bytes.
struct NoFiles: StandbyFilesMaking {
  func files(for request: StandbyFilesRequest) throws(StandbyError) -> [StandbyFile] { [] }
}
