import FoundationEssentials
import ReplDigest
import ReplIO
import ReplModel
import ReplPass
import ReplService
import ReplSource
import Synchronization

/// Which VM each configured VMX file is. Remembered in the state directory, so that a VM whose VMX cannot be
/// read for a while keeps its name, point and lag; a VM that was never read has an identity made from its
/// path.
final class VMIdentities: Sendable {
  private static let fileName = "vms.json"
  /// Some thousand paths of the greatest length.
  private static let fileLimitBytes = 16 << 20

  private struct Known {
    /// By path: read from the VMX now or, where that failed, some time before.
    var claimed: [String: VMID] = [:]
    /// What the file holds.
    var kept: [String: VMID] = [:]
  }

  private let vms: [SenderConfig.VM]
  private let directory: any StorageDirectory
  private let known: Mutex<Known>

  /// Reads what was remembered, then every VMX.
  init(_ vms: [SenderConfig.VM], directory: any StorageDirectory) {
    self.vms = vms
    self.directory = directory
    // Lost memory is no reason not to start: it is learned again.
    let bytes = (try? directory.readFile(Self.fileName, limitBytes: Self.fileLimitBytes)) ?? []
    // As above.
    let kept = (try? JSONDecoder().decode([String: VMID].self, from: Data(bytes))) ?? [:]
    known = Mutex(Known(kept: kept))
    // Unreadable now: the VM's pass will say why.
    let read = vms.map { try? PoweredOffView.identity(vmxPath: $0.vmxPath).vm }
    let found = zip(vms, read).map { vm, read in (vm.vmxPath, vm: read ?? kept[vm.vmxPath]) }
    // Who has had a standby before goes on with it; of two new ones, the first.
    for (path, vm) in found where vm != nil && vm == kept[path] { take(path, vm) }
    for (path, vm) in found where vm != kept[path] { take(path, vm) }
  }

  private func take(_ path: String, _ vm: VMID?) {
    // Its pass will say that another path has the identity.
    if let vm { try? claim(path, as: vm) }
  }

  /// The identity that stands for a path whose VM is not known, or is another path's already.
  static func standIn(for path: String) -> VMID {
    let seed = SHA256Hasher.hash(Array("vmrepl vmx path".utf8) + Array(path.utf8)).bytes
    guard let id = VMID(HexText.encode(seed[0..<16])) else { preconditionFailure("16 bytes are an identity") }
    return id
  }

  subscript(path: String) -> VMID { known.withLock { $0.claimed[path] } ?? Self.standIn(for: path) }

  var all: Set<VMID> { Set(vms.map { self[$0.vmxPath] }) }

  /// Makes `vm` the VM of this path.
  /// - Throws: when another path has it: two VMX files must never write one standby.
  func claim(_ path: String, as vm: VMID) throws(SourceError) {
    let other = known.withLock { known -> String? in
      if let other = known.claimed.first(where: { $0.key != path && $0.value == vm })?.key {
        known.claimed[path] = nil
        return other
      }
      known.claimed[path] = vm
      return nil
    }
    if let other { throw .sharedIdentity(path: path, other: other) }
  }

  /// Writes down what is known, when that is news.
  func keep() throws(IOError) {
    try known.withLock { known throws(IOError) in
      guard known.claimed != known.kept else { return }
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
      // Why it failed would not matter: texts are always encodable.
      guard let data = try? encoder.encode(known.claimed) else { preconditionFailure("texts are encodable") }
      try directory.replaceFile(Self.fileName, with: Array(data))
      known.kept = known.claimed
    }
  }

  /// Puts every configured VM on the board, also before its first pass, and nothing else.
  func show(on board: StatusBoard) {
    for vm in vms {
      let id = self[vm.vmxPath]
      // Unreadable now: the name of before or the path will do.
      let written = try? PoweredOffView.identity(vmxPath: vm.vmxPath)
      let displayName = written?.vm == id ? written?.displayName : nil
      let name = vm.name ?? displayName ?? board[id]?.name ?? vm.vmxPath
      board.update(id, name: name, peer: board[id]?.peer, rpoSeconds: vm.rpoSeconds) { _ in }
    }
    board.retain(all)
  }

  /// Removes what stood in for VMs that are known by now.
  func removeStandIns(from board: StatusBoard) throws(IOError) {
    for vm in vms where self[vm.vmxPath] != Self.standIn(for: vm.vmxPath) {
      try board.remove(Self.standIn(for: vm.vmxPath))
    }
  }
}
