import ReplIO
import ReplModel
import ReplVMDK

/// What the ledger does not name. None should exist: the ledger is written first. A lost state directory
/// leaves some, which then carry another installation and are nobody's but the operator's.
extension ViewFreezer {
  /// Removes clones of this installation in the folders of the VM's files, and names its snapshots.
  /// - Parameter seen: the folders that were looked at already; several VMs may have files in one.
  func undeclared(
    _ request: ViewRequest, _ seen: inout Set<String>, _ report: @escaping @Sendable (FreezeEvent) -> Void
  ) -> [LeftoverReport] {
    // A folder that cannot be read is the next freeze's to report.
    guard let folder = try? SourceFolder(vmxPath: request.vmxPath) else { return [] }
    var reports: [LeftoverReport] = []
    for place in Self.clonePlaces(folder, request)
    where seen.insert("\(place.root)/\(place.name)").inserted {
      reports += undeclaredClones(place, request.vmxPath, report)
    }
    // A list that does not parse is the provider's to report.
    guard let list = try? SnapshotList(of: folder) else { return reports }
    for name in list.names {
      guard let tag = FreezeTag(name), tag.installation == ledger.installation, !isKnown(tag) else {
        continue
      }
      let text =
        "\(request.vmxPath): the snapshot \(tag) is ours, but no freeze of that name is known: remove it"
      report(FreezeEvent(.error, text))
      reports.append(
        LeftoverReport(vmxPath: request.vmxPath, tag: "\(tag)", isRemoved: false, text: text))
    }
    return reports
  }

  /// Where a freeze of the VM makes clones: its own folder, and those of all files of its disks.
  private static func clonePlaces(
    _ folder: SourceFolder, _ request: ViewRequest
  ) -> [FreezeRecord.CloneFolder] {
    var places = [FreezeRecord.CloneFolder(root: folder.directory.path, name: "", inode: 0)]
    guard case .reflink = request.freeze.provider else { return places }
    // Disks that cannot be opened are the next freeze's to report.
    guard let disks = try? folder.openDisks(try folder.readVMX(), request, opening: request.opening) else {
      return places
    }
    for file in disks.images.flatMap(\.files) where !file.status.isBlockDevice {
      let (root, name) = CloneFolder.place(of: file.place)
      let place = FreezeRecord.CloneFolder(root: root, name: name, inode: 0)
      if !places.contains(place) { places.append(place) }
    }
    return places
  }

  private func undeclaredClones(
    _ place: FreezeRecord.CloneFolder, _ vmxPath: String,
    _ report: @escaping @Sendable (FreezeEvent) -> Void
  ) -> [LeftoverReport] {
    // What cannot be listed is the next freeze's to report.
    guard let names = try? CloneFolder.parent(place).entryNames() else { return [] }
    return names.compactMap { name in
      guard let tag = FreezeTag(directoryName: name), tag.installation == ledger.installation else {
        return nil
      }
      // After the listing: a freeze that lives now and was begun before it has its record.
      return isKnown(tag) ? nil : removeUndeclared(tag, in: place, of: vmxPath, report)
    }
  }

  private func isKnown(_ tag: FreezeTag) -> Bool {
    // A ledger that cannot be read knows everything: nothing is removed then.
    (try? ledger.contains(tag)) != false
  }

  private func removeUndeclared(
    _ tag: FreezeTag, in place: FreezeRecord.CloneFolder, of vmxPath: String,
    _ report: @escaping @Sendable (FreezeEvent) -> Void
  ) -> LeftoverReport {
    var text = ""
    var isRemoved = true
    do throws(IOError) {
      let folder = try CloneFolder(place, tag)
      let foreign = try folder.remove()
      text = "\(folder.path): clones of a freeze that is not in the ledger were removed"
      if !foreign.isEmpty {
        isRemoved = false
        text = "\(FreezeUndo.foreign(foreign, in: folder.path).error)"
      }
    } catch {
      isRemoved = false
      text = "\(vmxPath): clones of a freeze that is not in the ledger (\(tag)) cannot be removed: \(error)"
    }
    report(FreezeEvent(isRemoved ? .warning : .error, text))
    return LeftoverReport(vmxPath: vmxPath, tag: "\(tag)", isRemoved: isRemoved, text: text)
  }
}
