import ReplIO
import ReplModel
import ReplVMDK
import ReplVMX

/// Looks at a VM: its VMX, what lies beside it, and its disks.
struct InspectionOfVM {
  let folder: PosixDirectory
  let vmxName: String
  let request: InspectionRequest
  let disk: InspectionOfDisk

  func inspection() throws(IOError) -> Inspection {
    let document: VMXDocument
    do {
      document = try VMXDocument(
        parsing: folder.readFile(vmxName, limitBytes: SourceFolder.vmxLimitBytes))
    } catch let error as IOError where error.kind != .limit {
      throw error
    } catch {
      return Inspection(path: request.path, kind: .vm, problems: ["\(request.path): no VMX: \(error)"])
    }
    let looks = document.diskEntries().map(inspect)
    let disks = looks.map(\.disk)
    var problems = document.vmProblems.map { "\($0)" }
    if document.vmID == nil { problems.append(identityProblem()) }
    problems += sharedFiles(disks)
    var nvramWarning: String?
    do throws(IOError) { nvramWarning = try missingNVRAM(document) } catch {
      problems.append("the NVRAM cannot be read: \(error)")
    }
    if disks.isEmpty {
      problems.append("\(SourceError.noDisks(path: request.path, skipped: []))")
    } else if disks.allSatisfy({ $0.state == .excluded }) {
      problems.append("\(request.path): every disk is excluded: leave one of them in")
    }
    let images = looks.compactMap { $0.disk.state == .excluded ? nil : $0.image }
    let (vm, found) = try describe(document, images)
    let warnings = found + [nvramWarning].compactMap { $0 }
    return Inspection(
      path: request.path, kind: .vm, vm: vm, disks: disks, problems: problems,
      warnings: document.notes + warnings + sharedUUIDs(disks))
  }

  private func inspect(_ entry: VMXDiskEntry) -> (disk: Inspection.Disk, image: VMDKImage?) {
    let mode: String? = if case .success(let found) = entry.disk { found.mode } else { nil }
    var shown = Inspection.Disk(slot: entry.slot, file: entry.fileName ?? "", mode: mode)
    if request.excludedDisks.contains(.slot(entry.slot)) {
      shown.state = .excluded
      return (shown, nil)
    }
    if case .failure(let error) = entry.disk { shown.refuse("\(error)") }
    // Also of a disk that is refused: its identity may be what excludes it.
    let image = entry.fileName == nil ? nil : disk.look(at: &shown)
    return (shown, image)
  }

  private func identityProblem() -> String {
    do throws(SourceError) { _ = try ViewIdentity.read(vmxPath: request.path) } catch {
      switch error {
      case .noIdentity, .badIdentity: return "\(error)"
      // Everything else is said of the VM or of a disk already.
      default: break
      }
    }
    return
      "\(request.path): neither uuid.bios nor vc.uuid is a UUID, so the VM has no identity: start it once"
      + " under VMware"
  }

  /// What one disk writes must be no other disk's; a parent that nobody writes may belong to several.
  private func sharedFiles(_ disks: [Inspection.Disk]) -> [String] {
    let judged = disks.compactMap { disk in
      disk.state == .excluded ? nil : disk.slot.map { (slot: $0, disk: disk) }
    }
    var problems: [String] = []
    for (index, one) in judged.enumerated() {
      for other in judged[..<index] {
        let isSeparate =
          one.disk.inodes.isDisjoint(with: other.disk.inodes.union(other.disk.parentInodes))
          && other.disk.inodes.isDisjoint(with: one.disk.parentInodes)
        if isSeparate { continue }
        problems.append("\(SourceError.sameFile(path: request.path, first: other.slot, second: one.slot))")
      }
    }
    return problems
  }

  private func sharedUUIDs(_ disks: [Inspection.Disk]) -> [String] {
    var owners: [DiskID: DiskSlot] = [:]
    return disks.compactMap { disk in
      guard disk.state != .excluded, let slot = disk.slot, let uuid = disk.diskUUID,
        let other = owners.updateValue(slot, forKey: uuid)
      else { return nil }
      return "the disks \(other) and \(slot) carry the same ddb.uuid: each is known by its slot"
    }
  }

  // MARK: What lies beside the VMX

  private func describe(
    _ document: VMXDocument, _ images: [VMDKImage]
  ) throws(IOError) -> (Inspection.VM, [String]) {
    var warnings: [String] = []
    let running = try runningEvidence(images)
    if let running {
      warnings.append("the VM is running (\(running)): a pass of it needs a freeze provider")
    }
    let snapshots = snapshots(&warnings)
    if document["vtpm.present"].map({ $0.lowercased() == "true" }) ?? false {
      warnings.append(
        "the VM has a virtual TPM, which is not copied: have recovery keys of its guest at hand")
    }
    let stem = vmxName.lowercased().hasSuffix(".vmx") ? String(vmxName.dropLast(4)) : vmxName
    let name = document.displayName.flatMap { $0.isEmpty ? nil : $0 } ?? stem
    let vm = Inspection.VM(
      id: document.vmID, displayName: name, encoding: document.encoding.name, nvram: document.nvramFileName,
      snapshots: snapshots, running: running)
    return (vm, warnings)
  }

  private func runningEvidence(_ images: [VMDKImage]) throws(IOError) -> String? {
    do throws(SourceError) {
      return try RunningEvidence(folder: SourceFolder(vmxPath: request.path)).find(disks: images)
    } catch {
      if case .io(let cause) = error { throw cause }
      return nil
    }
  }

  /// Reads it as a pass does.
  private func missingNVRAM(_ document: VMXDocument) throws(IOError) -> String? {
    guard let name = document.nvramFileName else { return nil }
    do throws(IOError) {
      _ = try folder.readFile(name, limitBytes: SourceFolder.nvramLimitBytes)
      return nil
    } catch {
      guard error.isMissing else { throw error }
      return "nvram names \(SafeText.printable(name, limit: 128)), which is not there: the standby starts"
        + " without"
    }
  }

  private func snapshots(_ warnings: inout [String]) -> Int {
    do throws(SourceError) {
      guard let list = try SnapshotList(of: SourceFolder(vmxPath: request.path)) else { return 0 }
      if list.needsConsolidation {
        warnings.append("VMware says that the disks need consolidation: deltas are left of deleted snapshots")
      }
      return list.names.count
    } catch {
      warnings.append("the list of snapshots cannot be read: \(error)")
      return 0
    }
  }
}
