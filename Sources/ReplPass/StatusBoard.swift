import FoundationEssentials
import ReplIO
import ReplModel
import Synchronization

/// What this daemon knows of every VM, for `status`, `/status` and the metrics. Kept in a directory as well,
/// one small file a VM, so that a restart and a `status` without a daemon know the last pass.
public final class StatusBoard: Sendable {
  private static let fileLimitBytes = 64 << 10

  private let entries = Mutex<[VMID: VMStatus]>([:])
  private let directory: (any StorageDirectory)?

  /// Loads what was kept. A file that cannot be read or does not parse is left out: it is only history.
  public init(directory: (any StorageDirectory)?) throws(IOError) {
    self.directory = directory
    guard let directory else { return }
    for name in try directory.entryNames() where name.hasSuffix(".json") {
      // History only: whatever is wrong with an entry must not keep the daemon from starting.
      guard var status = try? Self.read(name, in: directory) else { continue }
      status.running = nil
      status.rpoForecast = nil
      status.stageSeconds = nil
      status.passesCommitted = 0
      status.passesFailed = 0
      if [.running, .seeding, .settling].contains(status.state) { status.state = status.restingState }
      entries.withLock { $0[status.vm] = status }
    }
  }

  private static func read(_ name: String, in directory: any StorageDirectory) throws -> VMStatus {
    let bytes = try directory.readFile(name, limitBytes: fileLimitBytes)
    return try JSONDecoder().decode(VMStatus.self, from: Data(bytes))
  }

  /// Sorted by name, then identity.
  public var all: [VMStatus] {
    entries.withLock { $0.values.sorted { ($0.name, $0.vm) < ($1.name, $1.vm) } }
  }

  /// The entry of one VM; nil when it is not on the board.
  public subscript(vm: VMID) -> VMStatus? { entries.withLock { $0[vm] } }

  /// Changes one VM's entry, made first where it is missing.
  public func update(
    _ vm: VMID, name: String, peer: String?, rpoSeconds: Double, _ change: (inout VMStatus) -> Void
  ) {
    entries.withLock { entries in
      var status =
        entries[vm]
        ?? VMStatus(vm: vm, name: name, peer: peer, state: .waitingForFirstCopy, rpoSeconds: rpoSeconds)
      status.name = name
      status.peer = peer
      status.rpoSeconds = rpoSeconds
      change(&status)
      entries[vm] = status
    }
  }

  /// Changes one VM's entry; nothing when it is not on the board.
  public func update(_ vm: VMID, _ change: (inout VMStatus) -> Void) {
    entries.withLock { entries in
      guard var status = entries[vm] else { return }
      change(&status)
      entries[vm] = status
    }
  }

  /// Writes one VM's entry to the directory.
  public func keep(_ vm: VMID) throws(IOError) {
    guard let directory, let status = self[vm] else { return }
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .prettyPrinted]
    // Why it failed would not matter: a status is always encodable.
    guard let data = try? encoder.encode(status) else { preconditionFailure("a status is always encodable") }
    try directory.replaceFile("\(vm).json", with: Array(data))
  }

  /// Takes one VM off the board and removes its file, where there are such.
  public func remove(_ vm: VMID) throws(IOError) {
    entries.withLock { _ = $0.removeValue(forKey: vm) }
    guard let directory, try directory.contains("\(vm).json") else { return }
    try directory.removeFile("\(vm).json")
    try directory.sync()
  }

  /// Only these VMs remain on the board: the others are no longer configured. Their files stay.
  public func retain(_ vms: Set<VMID>) { entries.withLock { $0 = $0.filter { vms.contains($0.key) } } }
}
