import ReplDigest
import ReplIO
import ReplModel
import ReplVMDK
import ReplVMX

extension SourceFolder {
  /// A disk of the VM and the files that it is made of.
  struct OpenDisk: Sendable {
    let disk: ViewDisk
    /// As the VMX names it.
    let fileName: String
    let mode: String?
    let image: VMDKImage
  }

  /// The disks that take part in a view, and the slots of those that do not.
  struct OpenDisks: Sendable {
    var disks: [OpenDisk] = []
    var excluded: [DiskSlot] = []

    var images: [VMDKImage] { disks.map(\.image) }
  }

  /// A disk as the VMX names it.
  struct NamedDisks {
    var disks: [VMXDisk] = []
    var excluded: [DiskSlot] = []
  }

  /// The disks that the VMX names, without those that are excluded, which are not judged.
  func namedDisks(
    _ vmx: VMX, _ request: ViewRequest
  ) throws(SourceError) -> NamedDisks {
    if let problem = vmx.document.vmProblems.first { throw .vmx(path: vmxPath, problem) }
    var result = NamedDisks()
    for entry in vmx.document.diskEntries() {
      if request.excludedDisks.contains(.slot(entry.slot)) {
        result.excluded.append(entry.slot)
        continue
      }
      switch entry.disk {
      case .success(let disk): result.disks.append(disk)
      case .failure(let problem):
        guard isExcluded(entry, request) else { throw .vmx(path: vmxPath, problem) }
        result.excluded.append(entry.slot)
      }
    }
    guard !result.disks.isEmpty else {
      throw .noDisks(path: vmxPath, skipped: Self.whatIsNoDisk(vmx.document, result.excluded))
    }
    return result
  }

  /// By its UUID, of a disk that would be refused.
  private func isExcluded(_ entry: VMXDiskEntry, _ request: ViewRequest) -> Bool {
    guard let name = entry.fileName, request.hasExcludedIdentities else { return false }
    // A disk that does not open has no identity to be excluded by; its slot can still be named.
    let image = try? VMDKImage.open(name, in: directory, request.opening)
    return image?.diskUUID.map { request.excludedDisks.contains(.disk($0)) } ?? false
  }

  private static func whatIsNoDisk(_ document: VMXDocument, _ excluded: [DiskSlot]) -> [String] {
    let other = document.entries.compactMap { entry -> String? in
      guard entry.name.lowercased().hasSuffix(".filename"), !entry.value.lowercased().hasSuffix(".vmdk"),
        DiskSlot(entry.name.dropLast(".fileName".count).lowercased()) != nil
      else { return nil }
      return SafeText.printable("\(entry.name) = \"\(entry.value)\"", limit: 128)
    }
    return excluded.map { "\($0) is excluded" } + other
  }

  /// Opens every disk that is not excluded.
  func openDisks(
    _ vmx: VMX, _ request: ViewRequest, opening: DiskOpening
  ) throws(SourceError) -> OpenDisks {
    let named = try namedDisks(vmx, request)
    var result = OpenDisks(excluded: named.excluded)
    var images: [(VMXDisk, VMDKImage)] = []
    for disk in named.disks {
      let image = try open(disk, opening)
      if let uuid = image.diskUUID, request.excludedDisks.contains(.disk(uuid)) {
        result.excluded.append(disk.slot)
      } else {
        images.append((disk, image))
      }
    }
    guard !images.isEmpty else {
      throw .noDisks(path: vmxPath, skipped: Self.whatIsNoDisk(vmx.document, result.excluded))
    }
    try checkSeparate(images)
    let uuids = images.compactMap { $0.1.diskUUID }
    for (disk, image) in images {
      guard image.sizeBytes > 0, image.sizeBytes <= PageGrid.maximumSizeBytes else {
        throw .tooLarge(slot: disk.slot, sizeBytes: image.sizeBytes)
      }
      let id = Self.identity(of: image, slot: disk.slot, vm: vmx.vm, allUUIDs: uuids)
      let view = ViewDisk(id: id, slot: disk.slot, image: image, facts: image.facts, fileName: disk.fileName)
      result.disks.append(OpenDisk(disk: view, fileName: disk.fileName, mode: disk.mode, image: image))
    }
    result.excluded.sort()
    return result
  }

  func open(_ disk: VMXDisk, _ opening: DiskOpening) throws(SourceError) -> VMDKImage {
    do throws(VMDKError) { return try VMDKImage.open(disk.fileName, in: directory, opening) } catch {
      throw .disk(slot: disk.slot, error)
    }
  }

  /// What one disk writes must be no other disk's, or they overwrite each other; a parent that nobody writes
  /// may belong to several (linked clones of one template).
  private func checkSeparate(_ images: [(VMXDisk, VMDKImage)]) throws(SourceError) {
    struct Inode: Hashable {
      let device, number: UInt64
      init(_ file: VMDKFile) { (device, number) = (file.status.device, file.status.inode) }
    }
    var writers: [Inode: DiskSlot] = [:]
    for (disk, image) in images {
      for file in image.links[0].files {
        let other = writers.updateValue(disk.slot, forKey: Inode(file))
        guard let other, other != disk.slot else { continue }
        throw .sameFile(path: file.place.path, first: other, second: disk.slot)
      }
    }
    for (disk, image) in images {
      for file in image.files {
        guard let other = writers[Inode(file)], other != disk.slot else { continue }
        throw .sameFile(path: file.place.path, first: other, second: disk.slot)
      }
    }
  }

  /// `ddb.uuid` where it is set and no other disk of the VM carries the same (copied disks do); else an
  /// identity derived from the VM and the slot.
  private static func identity(of image: VMDKImage, slot: DiskSlot, vm: VMID, allUUIDs: [DiskID]) -> DiskID {
    if let uuid = image.diskUUID, allUUIDs.filter({ $0 == uuid }).count == 1 { return uuid }
    let seed = Array("vmrepl disk identity".utf8) + vm.bytes + Array(slot.description.utf8)
    let hash = SHA256Hasher.hash(seed).bytes
    return DiskID(HexText.encode(hash[0..<16]))!
  }
}
