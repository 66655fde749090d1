import ReplIO
import ReplModel

/// Two notes beside the catalog's fence, because a catalog can be put back from a backup made before the
/// failover: replication would write the disks of the running VM then.
extension Standby {
  /// Leaves a note in the state directory that this standby is fenced. Best effort: the fence is in the
  /// catalog, and a failover must not fail because the state directory is full or gone.
  func noteFence() {
    do throws(IOError) { try maps.replaceFile(StandbyLayout.fenceNote, with: Array("fenced\n".utf8)) } catch {
      return
    }
  }

  /// Throws when a catalog without a fence is older than a failover: the failover has left its progress
  /// beside it, or the fence its note in the state directory.
  func checkNoForgottenFence() throws(StandbyError) {
    let witness: String? = try storing { () throws(IOError) in
      if try home.privateDirectory.contains(StandbyLayout.failoverProgress) {
        return "\(home.privateDirectory.path)/\(StandbyLayout.failoverProgress)"
      }
      return try maps.contains(StandbyLayout.fenceNote) ? "\(maps.path)/\(StandbyLayout.fenceNote)" : nil
    }
    guard let witness else { return }
    throw .catalogDamaged(
      path: "\(home.privateDirectory.path)/\(StandbyLayout.catalog)",
      detail:
        "it has no fence, but this standby was failed over (\(witness)): it is older than the failover, "
        + "and nothing is written; restore the newer catalog, or run \"repl-receiver failover\" again")
  }
}

extension StandbyStore {
  /// Throws when a folder of the store has disks and no catalog: they may be a standby of the very VM for
  /// which one is to be made, promoted perhaps. A folder without disks was left by a creation that was cut
  /// off.
  func checkNoOrphan() throws(StandbyError) {
    // Folders of known standbys are left alone: they have a catalog, and one that hangs must not keep us
    // here.
    for name in try storing({ () throws(IOError) in try root.entryNames() })
    where !name.hasPrefix(".") && rememberedVM(in: name) == nil {
      guard summary(of: name) == nil, let names = orphanedNames(in: name) else { continue }
      guard names.contains(where: { $0.hasSuffix(StandbyLayout.flatFile(stem: "")) }) else { continue }
      throw .catalogDamaged(
        path: "\(root.path)/\(name)/\(StandbyLayout.privateDirectory)/\(StandbyLayout.catalog)",
        detail:
          "it is gone, and the folder holds disks of a standby: restore the catalog, or move the folder "
          + "out of the store; no standby is made before, for it may be this VM's")
    }
  }

  /// What is in a folder with a private directory; nil when it is none of ours.
  private func orphanedNames(in name: String) -> [String]? {
    do throws(IOError) {
      let home = try root.openDirectory(name)
      return try home.contains(StandbyLayout.privateDirectory) ? try home.entryNames() : nil
    } catch {
      // A plain file is none of ours, and what cannot be opened is told by `standbys`.
      return nil
    }
  }
}
