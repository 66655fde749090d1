import ReplModel
import ReplProtocol
import ReplStandby

/// Finding a VM's standby, and making one.
extension TargetService {
  /// How long a session waits for a failover or another command that has the standby: commands of minutes are
  /// better waited for at the sender, which lets its view go meanwhile.
  private static let fileLockSeconds: Double = 10

  /// Throws when the VM has a standby here and it is another peer's. What was seen before answers for most:
  /// without a lease no session looks into a folder of its own VM, which may not answer.
  func refuseForeign(_ vm: VMID, peer: String) throws(PassError) {
    let isForeign = stores.contains { $0.store.knownOwner(of: vm).map { $0 != peer } ?? false }
    if isForeign { try checkOwner(vm, peer: peer) }
  }

  private func checkOwner(_ vm: VMID, peer: String) throws(PassError) {
    for (_, store) in stores where store.knows(vm) {
      guard let owner = try storing({ () throws(StandbyError) in try store.owner(of: vm) }) else { continue }
      guard owner == peer else { throw .standby(.notYours(vm: vm, owner: owner, peer: peer)) }
    }
  }

  /// A peer's disks are digested with the peer's own key: digests of known pages under somebody else's would
  /// tell about that one.
  func refuseForeignKeys(_ offer: Offer, peer: String) throws(PassError) {
    let own = try keys.key(of: peer)?.id
    for disk in offer.disks where disk.keyID != own { throw .standby(.keyMissing(key: disk.keyID)) }
  }

  /// Finds the standby of a VM in any store and takes it; makes it in the peer's store when there is none.
  /// Nil when there is none and the offer is one of a seed, which needs a recovery point.
  func take(_ offer: Offer, peer: String) throws(PassError) -> (StandbyStore, Standby)? {
    var all = inventory
    do throws(StandbyError) {
      if let found = try find(offer.vm, in: all, peer: peer) { return found }
      if !all.missing.isEmpty {
        // It may be in one of these, which may be back.
        lookAtStores(waitSeconds: shelf.patienceSeconds)
        all = inventory
        if let found = try find(offer.vm, in: all, peer: peer) { return found }
      }
      if let missing = all.missing.first { throw missing.error }
    } catch {
      guard case .lockHeld(let path) = error else { throw .standby(error) }
      throw .refused(
        .leaseHeld, "\(path): a failover or another repl-receiver command is working on this VM",
        retryAfterSeconds: 30)
    }
    guard offer.purpose == .pass else { return nil }
    try checkRoom(for: peer)
    let wanted = settings.storeOfPeer[peer]
    let store = (all.stores.first { $0.name == wanted } ?? all.stores[0]).store
    return try storing { () throws(StandbyError) in
      (store, try store.create(vm: offer.vm, displayName: offer.displayName, owner: peer))
    }
  }

  /// The standby, wherever it is. A store that went away does not keep VMs whose standby is in another one,
  /// and one that has it comes first: another one that does not answer must not keep its VMs from it.
  private func find(
    _ vm: VMID, in all: StoreShelf.Inventory, peer: String
  ) throws(StandbyError) -> (StandbyStore, Standby)? {
    let stores = all.stores.map(\.store)
    for store in stores where store.knows(vm) {
      guard let owner = try store.owner(of: vm), owner != peer else { continue }
      throw .notYours(vm: vm, owner: owner, peer: peer)
    }
    var gone: StandbyError?
    for store in stores.filter({ $0.knows(vm) }) + stores.filter({ !$0.knows(vm) }) {
      do throws(StandbyError) {
        if let standby = try store.open(vm: vm, waitSeconds: Self.fileLockSeconds) { return (store, standby) }
      } catch {
        guard error.isStoreGone else { throw error }
        gone = gone ?? error
      }
    }
    if let gone { throw gone }
    return nil
  }

  private func checkRoom(for peer: String) throws(PassError) {
    let count = stores.reduce(0) { $0 + $1.store.standbyCount(of: peer) }
    guard count >= settings.limits.vmsPerPeer else { return }
    throw .refused(
      .limit,
      "this sender has \(count) standbys here, which is all that limits.vms_per_peer allows it: raise it at "
        + "the receiver, or remove standbys that are no longer wanted")
  }
}
