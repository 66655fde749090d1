import ReplDigest
import ReplIO
import ReplModel
import ReplVMDK
import ReplVMX

/// The folder of a VM at the primary site: everything that is read of a VM lies beneath it.
struct SourceFolder {
  /// A VMX is a few KB; NVRAM is 8 to 270 KB.
  static let vmxLimitBytes = 1 << 20
  static let nvramLimitBytes = 1 << 20
  /// What an offer carries of a name.
  static let nameLimitBytes = 255

  let directory: PosixDirectory
  let vmxName: String
  let vmxPath: String

  init(vmxPath: String) throws(SourceError) {
    self.vmxPath = vmxPath
    let parts = vmxPath.split(separator: "/", omittingEmptySubsequences: true)
    vmxName = String(parts.last ?? "")
    do throws(IOError) {
      directory = try PosixDirectory(path: "/" + parts.dropLast().joined(separator: "/"))
    } catch { throw .io(error) }
  }

  /// What the VMX says.
  struct VMX {
    let bytes: [UInt8]
    let document: VMXDocument
    let vm: VMID
    let displayName: String
    let disks: [VMXDisk]
  }

  func readVMX() throws(SourceError) -> VMX {
    let bytes: [UInt8]
    do throws(IOError) {
      // VMware may be in the middle of rewriting it: what reads the same twice is whole.
      let first = try directory.readFile(vmxName, limitBytes: Self.vmxLimitBytes)
      bytes = try directory.readFile(vmxName, limitBytes: Self.vmxLimitBytes)
      guard first == bytes else {
        throw IOError(.damaged, "read", path: vmxPath, detail: "it is being rewritten")
      }
    } catch { throw .io(error) }
    let document: VMXDocument
    let disks: [VMXDisk]
    do throws(VMXError) {
      document = try VMXDocument(parsing: bytes)
      disks = try document.disks()
    } catch { throw .vmx(path: vmxPath, error) }
    guard let vm = document.vmID else { throw identityError(document) }
    guard !disks.isEmpty else { throw .noDisks(path: vmxPath, skipped: Self.filesThatAreNoDisks(document)) }
    return VMX(
      bytes: bytes, document: document, vm: vm, displayName: displayName(document.displayName), disks: disks)
  }

  private func identityError(_ document: VMXDocument) -> SourceError {
    let suggestion = Self.freshIdentityLine()
    guard let found = document["uuid.bios"], !found.isEmpty else {
      return .noIdentity(path: vmxPath, suggestion: suggestion)
    }
    return .badIdentity(path: vmxPath, found: found, suggestion: suggestion)
  }

  private static func filesThatAreNoDisks(_ document: VMXDocument) -> [String] {
    document.entries.compactMap { entry in
      guard entry.name.lowercased().hasSuffix(".filename"), !entry.value.lowercased().hasSuffix(".vmdk"),
        DiskSlot(entry.name.dropLast(".fileName".count).lowercased()) != nil
      else { return nil }
      return SafeText.printable("\(entry.name) = \"\(entry.value)\"", limit: 128)
    }
  }

  /// What the VMX says, cut between characters; the file's own name where it says nothing.
  private func displayName(_ written: String?) -> String {
    var name = ""
    for character in written ?? "" {
      guard name.utf8.count + character.utf8.count <= Self.nameLimitBytes else { break }
      name.append(character)
    }
    if !name.isEmpty { return name }
    let stem = vmxName.lowercased().hasSuffix(".vmx") ? String(vmxName.dropLast(4)) : vmxName
    return stem.isEmpty ? vmxName : stem
  }

  private static func freshIdentityLine() -> String {
    let pairs = VMID.random().bytes.map { HexText.encode([$0]) }
    return "uuid.bios = \"\(pairs[0..<8].joined(separator: " "))-\(pairs[8..<16].joined(separator: " "))\""
  }

  struct OpenDisk {
    let disk: ViewDisk
    let files: [VMDKFile]
    let isMarkedInUse: Bool
  }

  func openDisks(_ vmx: VMX) throws(SourceError) -> [OpenDisk] {
    var images: [(VMXDisk, VMDKImage)] = []
    for disk in vmx.disks {
      do throws(VMDKError) {
        images.append((disk, try VMDKImage.open(disk.fileName, in: directory)))
      } catch { throw .disk(slot: disk.slot, error) }
    }
    try checkSeparate(images)
    let uuids = images.compactMap { $0.1.diskUUID }
    var result: [OpenDisk] = []
    for (disk, image) in images {
      guard image.sizeBytes > 0, image.sizeBytes <= PageGrid.maximumSizeBytes else {
        throw .tooLarge(slot: disk.slot, sizeBytes: image.sizeBytes)
      }
      let id = Self.identity(of: image, slot: disk.slot, vm: vmx.vm, allUUIDs: uuids)
      let view = ViewDisk(id: id, slot: disk.slot, image: image, facts: image.facts)
      result.append(OpenDisk(disk: view, files: image.files, isMarkedInUse: image.isMarkedInUse))
    }
    return result
  }

  /// Two slots with one file between them would be two disks that overwrite each other at the standby.
  private func checkSeparate(_ images: [(VMXDisk, VMDKImage)]) throws(SourceError) {
    struct Inode: Hashable { let device, number: UInt64 }
    var owners: [Inode: DiskSlot] = [:]
    for (disk, image) in images {
      for file in image.files {
        let status: FileStatus
        do throws(IOError) { status = try file.file.status() } catch { throw .io(error) }
        let owner = owners.updateValue(disk.slot, forKey: Inode(device: status.device, number: status.inode))
        if let owner, owner != disk.slot {
          throw .sameFile(path: "\(directory.path)/\(file.relativePath)", first: owner, second: disk.slot)
        }
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

  func readNVRAM(_ vmx: VMX) throws(SourceError) -> [UInt8]? {
    guard let name = vmx.document.nvramFileName else { return nil }
    do throws(IOError) {
      return try directory.readFile(name, limitBytes: Self.nvramLimitBytes)
    } catch {
      // A VM that was never started has no NVRAM yet, although the VMX names it.
      if error.isMissing { return nil }
      throw .io(error)
    }
  }

  /// A lock or swap file that only a running VM has.
  func runningEvidence() throws(SourceError) -> String? {
    do throws(IOError) {
      return try directory.entryNames().first {
        $0 == vmxName + ".lck" || $0.hasSuffix(".vmdk.lck") || $0.hasPrefix(".lck-") || $0.hasSuffix(".vswp")
      }
    } catch { throw .io(error) }
  }
}
