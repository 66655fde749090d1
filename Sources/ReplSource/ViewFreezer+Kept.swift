import ReplIO
import ReplModel

/// Clones that are kept for the hints of the next pass: at most one set a VM, and none that nobody would use.
extension ViewFreezer {
  /// Whether the janitor leaves them: the record of hints names them, and the VM is where it was and is to
  /// have such hints. While its VMX cannot be read that is not known, and they stay.
  func isKept(_ record: FreezeRecord, _ requests: [ViewRequest]) -> Bool {
    guard record.keptSince != nil, record.postThaw == nil, let hints,
      let kept = hints.kept(of: record.vm), kept.tag == record.tag, leavesRoom(record, kept),
      let request = requests.first(where: { $0.vmxPath == record.vmxPath }),
      case .reflink = request.hints.provider, case .reflink = request.freeze.provider
    else { return false }
    do throws(SourceError) { return try ViewIdentity.read(vmxPath: record.vmxPath).vm == record.vm } catch {
      guard case .io(let cause) = error else { return true }
      return !cause.isMissing
    }
  }

  /// While no pass succeeds, what is kept takes more and more space: it goes before the guest has none left.
  /// Free space that cannot be asked for is no reason.
  private func leavesRoom(_ record: FreezeRecord, _ kept: HintRecord.Kept) -> Bool {
    guard let tag = FreezeTag(record.tag) else { return false }
    return record.clones.allSatisfy { folder in
      // What cannot be asked for is no reason to remove anything.
      guard let free = try? CloneFolder(folder, tag).parent.freeBytes() else { return true }
      return ViewClones.leaveRoom(freeBytes: free, allocatedBytes: kept.allocatedBytes)
    }
  }

  /// Removes clones that are kept, by their tag; what cannot be removed is the janitor's.
  func dropKept(_ tag: String, _ report: @escaping @Sendable (FreezeEvent) -> Void) {
    guard let tag = FreezeTag(tag) else { return }
    _ = undo(tag, [], onlyOf: nil, report)
  }

  /// Removes what is kept of VMs that none of `requests` is for, or that are to have no such hints any more.
  /// Blocks.
  public func cleanKept(
    _ requests: [ViewRequest], report: @escaping @Sendable (FreezeEvent) -> Void = { _ in }
  ) {
    // What cannot be listed now is looked at by the next start.
    for tag in (try? ledger.tags()) ?? [] where !ending.hasBegun {
      // As above.
      guard let record = try? ledger.read(tag), record.keptSince != nil else { continue }
      _ = undo(tag, requests, onlyOf: nil, report)
    }
  }
}
