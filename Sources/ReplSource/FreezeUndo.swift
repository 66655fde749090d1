import ReplIO
import ReplModel
import ReplVMDK

/// Undoes a freeze: at its release, when it failed half-way, and after a crash, always by what its record
/// says.
struct FreezeUndo {
  /// Something that is still there.
  struct Leftover {
    /// Whether the VM must not be frozen again before it is gone.
    let isBlocking: Bool
    let error: SourceError
  }

  let tag: FreezeTag
  let commands: FreezeCommands

  /// The guest first. What is undone is struck out of the record, which the caller writes.
  func thaw(_ record: inout FreezeRecord) -> SourceError? {
    guard let command = record.postThaw else { return nil }
    do throws(SourceError) {
      try commands.ending.holdingGuest(true) { () throws(SourceError) in try commands.thaw(command) }
      record.postThaw = nil
      return nil
    } catch { return error }
  }

  /// Everything but the guest.
  func release(_ record: inout FreezeRecord) -> [Leftover] {
    var left: [Leftover] = []
    if let command = record.release {
      do throws(SourceError) {
        try commands.run(command, .release)
        // Once more before the next freeze, as the snapshot of a create command below.
        if record.mayComeLate == true { record.mayComeLate = nil } else { record.release = nil }
      } catch { left.append(Leftover(isBlocking: true, error: error)) }
    }
    if let snapshot = record.snapshot {
      do throws(SourceError) {
        let wasThere = try remove(snapshot, record)
        // A create command that was cut off may still come through at the host: looked for once more before
        // the next freeze.
        if snapshot.mayComeLate && !wasThere {
          record.snapshot?.mayComeLate = false
        } else {
          record.snapshot = nil
        }
      } catch { left.append(Leftover(isBlocking: true, error: error)) }
    }
    record.clones = record.clones.filter { !removeClones($0, record, &left) }
    return left
  }

  // MARK: Clones

  /// Whether nothing of ours is left there.
  private func removeClones(
    _ place: FreezeRecord.CloneFolder, _ record: FreezeRecord, _ left: inout [Leftover]
  ) -> Bool {
    do throws(IOError) {
      let folder = try CloneFolder(place, tag)
      if try !folder.parent.contains(tag.directoryName), try folder.parent.status().inode != place.inode {
        throw IOError(.system(2), "open", path: folder.path, detail: "another folder has its place")
      }
      let foreign = try folder.remove()
      if !foreign.isEmpty { left.append(Self.foreign(foreign, in: folder.path)) }
      return true
    } catch {
      let what: SourceError =
        error.isMissing
        ? .leftover(
          path: "\(place.root)/\(place.name)",
          what:
            "the clones of an earlier freeze (\(tag.directoryName)) cannot be removed, because the folder "
            + "that held them is not there (\(error)): mount it")
        : .leftover(
          path: "\(place.root)/\(place.name)",
          what: "the clones of an earlier freeze (\(tag.directoryName)) cannot be removed: \(error)")
      left.append(Leftover(isBlocking: !error.isMissing, error: what))
      return false
    }
  }

  static func foreign(_ names: [String], in path: String) -> Leftover {
    let shown = names.prefix(4).map { SafeText.printable($0) }.joined(separator: ", ")
    return Leftover(
      isBlocking: false,
      error: .leftover(
        path: path,
        what:
          "the clones are removed, but files that are not ours lie there (\(shown)), so the directory stays:"
          + " take them away and remove it"))
  }

  // MARK: The host's snapshot

  /// Whether there was anything to remove.
  private func remove(
    _ snapshot: FreezeRecord.Snapshot, _ record: FreezeRecord
  ) throws(SourceError) -> Bool {
    guard try trace(of: snapshot, record) != nil else { return false }
    try commands.run(snapshot.remove, .remove)
    // A network filesystem may show the host's work a moment later.
    let end = Deadline(seconds: SnapshotProvider.settleSeconds)
    while let trace = try trace(of: snapshot, record) {
      guard !end.hasPassed else {
        throw .leftover(
          path: record.vmxPath,
          what: "the remove command ended well, but \(trace): remove the snapshot \(record.tag) by hand, and "
            + "check what freeze.remove does")
      }
      Pause.milliseconds(200)
    }
    return true
  }

  /// What shows that our snapshot is there; nil when nothing does. `.vmsd` is right where there is one; else
  /// the VMX tells by naming other disks than before.
  private func trace(
    of snapshot: FreezeRecord.Snapshot, _ record: FreezeRecord
  ) throws(SourceError) -> String? {
    let folder = try SourceFolder(vmxPath: record.vmxPath)
    let vmx = try folder.readVMX()
    guard vmx.vm == record.vm else {
      throw .leftover(
        path: record.vmxPath,
        what: "another VM has this path now, and \(record.vm), which had it, may still have the snapshot "
          + "\(record.tag): bring it back, or remove the snapshot by hand and then \(record.tag).json in the "
          + "ledger of freezes")
    }
    let list = try SnapshotList(of: folder)
    if let list, list.names.contains(record.tag) {
      return "the VM still has the snapshot \(record.tag)"
    }
    for (slot, before) in snapshot.disksBefore.sorted(by: { $0.key < $1.key }) {
      guard let now = vmx.document["\(slot).fileName"], now != before else { continue }
      if snapshot.deltas.contains(now) || (list == nil && snapshot.deltas.isEmpty) {
        return "the VM still writes \(slot) to \(SafeText.printable(now))"
      }
    }
    return nil
  }
}
