import FoundationEssentials
import Logging
import ReplIO
import ReplModel
import ReplPass
import ReplService
import ReplStandby
import ReplTLS
import ReplTransport

/// Everything a running receiver consists of.
final class ReceiverRuntime: Sendable {
  let config: ReceiverConfig
  let board: StatusBoard
  let service: TargetService
  let logger: Logger
  let time = SystemTime()
  private let tls: TLSContext
  private let lock: FileLock
  private let catalogs: CatalogReading

  init(config: ReceiverConfig, output: LogOutput) throws {
    self.config = config
    let logger = output.logger(label: "repl-receiver")
    self.logger = logger
    let state = try StateDirectory.open(path: config.stateDirectory)
    lock = try state.lock()
    let identity = try TLSIdentity.load(in: "\(config.stateDirectory)/identity")
    tls = try TLSContext(role: .server, identity: identity, policy: Self.policy(config))
    board = try StatusBoard(directory: try state.directory.createDirectory("status"))
    let receiver = try ReceiverIdentity.loadOrMake(in: state.directory)
    // What is wrong with the state directory ends the start; a store that is missing does not.
    let keys = TargetKeys(directory: try state.directory.createDirectory("keys"))
    _ = try state.directory.createDirectory("maps")
    let stores = DaemonStores(
      stores: Stores(config: config, state: state.directory, receiver: receiver), logger: logger)
    service = TargetService(
      receiver: receiver,
      settings: TargetSettings(
        productVersion: ProductVersion.current, rpoSeconds: config.rpoSeconds,
        storeOfPeer: Self.storeOfPeer(config), limits: Self.limits(config)),
      stores: stores.shelf(),
      keys: keys, board: board,
      time: time, desk: try ProofDesk(identity: identity, state: state.directory),
      report: { EventLog(logger: logger).write($0) })
    catalogs = CatalogReading(logger: logger) { [service] in try service.loadBoard() }
  }

  private static func storeOfPeer(_ config: ReceiverConfig) -> [String: String] {
    Dictionary(config.peers.compactMap { peer in peer.store.map { (peer.name, $0) } }) { $1 }
  }

  private static func limits(_ config: ReceiverConfig) -> TargetLimits {
    TargetLimits(
      connectionsPerPeer: config.limits.connectionsPerPeer, passes: config.limits.passes,
      passesPerPeer: config.limits.passesPerPeer, vmsPerPeer: config.limits.vmsPerPeer)
  }

  /// What a person should look at in the stores. Blocks.
  func logRemarks() {
    for (name, store) in service.stores {
      do throws(StandbyError) {
        for remark in try store.remarks() {
          logger.warning("look-at-store", metadata: ["store": "\(name)", "what": "\(remark)"])
        }
      } catch {
        logger.error("look-at-store", metadata: ["store": "\(name)", "cause": "\(error)"])
      }
    }
  }

  private static func policy(_ config: ReceiverConfig) -> PeerPolicy {
    let pins = config.peers.flatMap { peer in
      peer.fingerprints.map { PeerPolicy.Pin(name: peer.name, fingerprint: $0) }
    }
    let authority = config.authority.map {
      PeerPolicy.Authority(filePath: $0.caFile, allowedNames: $0.allowedNames)
    }
    return PeerPolicy(pinned: pins, authority: authority)
  }

  func makeListener() throws(TransportError) -> Listener {
    try Listener(
      address: HostPort(host: config.listen.host, port: UInt16(config.listen.port)), context: tls,
      options: TargetService.transport(productVersion: ProductVersion.current),
      caps: Self.limits(config).caps(total: config.maximumConnections))
  }

  /// Reads the catalogs anew. Answers in time also when a store does not: with what was known before, and a
  /// warning.
  func document() async -> StatusDocument {
    let warning = await catalogs.read()
    let warnings = service.storeTroubles + (warning.map { [$0] } ?? [])
    var document = StatusDocument(
      role: .receiver, version: ProductVersion.current, daemonRunning: true,
      generatedAt: time.wallTime(), vms: board.all)
    document.warnings = warnings.isEmpty ? nil : warnings
    return document
  }

  /// Failing while standbys cannot be got at. Looks at nothing: answers at once.
  var health: Health {
    let troubles = service.storeTroubles + (catalogs.trouble.map { [$0] } ?? [])
    return troubles.isEmpty ? .ok : .failing(troubles.joined(separator: "; "))
  }

  /// One line for `systemctl status`.
  var summary: String {
    let vms = board.all
    let running = vms.count { $0.running != nil }
    let troubles = service.storeTroubles.count
    let missing = troubles == 0 ? "" : ", \(troubles) store(s) missing"
    return "\(vms.count) standbys, \(running) passes running\(missing)"
  }
}

/// The identity of this installation in recovery points: made once.
enum ReceiverIdentity {
  private static let fileName = "receiver-id"

  static func loadOrMake(in state: any StorageDirectory) throws -> ReceiverID {
    if try state.contains(fileName) {
      let text = String(decoding: try state.readFile(fileName, limitBytes: 128), as: UTF8.self)
      if let id = ReceiverID(text.filter { !$0.isWhitespace }) { return id }
      throw IOError(.damaged, "read", path: "\(state.path)/\(fileName)", detail: "it holds no identity")
    }
    let id = ReceiverID.random()
    try state.replaceFile(fileName, with: Array("\(id)\n".utf8))
    return id
  }
}
