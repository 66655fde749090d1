import ReplModel
import ReplStandby
import ReplVMDK
import ReplVMX

/// Makes what VMware needs to register and start a standby: a descriptor a disk, the NVRAM, and the VMX last.
public struct RegistrationFiles: StandbyFilesMaking {
  private let networks: [String: String]
  private let displayNameSuffix: String

  /// `networks`: the source's network name to the one at this site; a network that is not in it stays
  /// disconnected.
  public init(networks: [String: String], displayNameSuffix: String) {
    self.networks = networks
    self.displayNameSuffix = displayNameSuffix
  }

  public func files(for request: StandbyFilesRequest) throws(StandbyError) -> [StandbyFile] {
    var files: [StandbyFile] = []
    for disk in request.disks { files.append(try descriptor(disk, point: request.point)) }
    let nvramName = request.sourceNVRAM == nil ? nil : "\(request.slug).nvram"
    if let nvramName, let nvram = request.sourceNVRAM {
      files.append(StandbyFile(name: nvramName, bytes: nvram))
    }
    guard let vmx = request.sourceVMX else { return files }
    files.append(
      StandbyFile(name: "\(request.slug).vmx", bytes: try stub(vmx, request, nvramName: nvramName)))
    return files
  }

  private func descriptor(_ disk: CatalogDisk, point: RecoveryPoint) throws(StandbyError) -> StandbyFile {
    let descriptor = StandbyDescriptor(
      sizeBytes: disk.grid.sizeBytes, facts: disk.facts, extentFileName: disk.dataName,
      contentID: Self.contentID(disk: disk.disk, pass: point.pass), isOnDevice: disk.device != nil)
    do throws(VMDKError) {
      return StandbyFile(name: disk.descriptorFileName, bytes: Array(try descriptor.text().utf8))
    } catch { throw .filesRefused(detail: "\(error)") }
  }

  /// Another one for every pass, the same one when settling is done again. 0xFFFFFFFF means "no parent" and
  /// 0xFFFFFFFE a fresh disk: neither is used.
  static func contentID(disk: DiskID, pass: PassID) -> UInt32 {
    let mixed = pass.low ^ disk.low ^ (pass.high &+ disk.high)
    let id = UInt32(truncatingIfNeeded: mixed ^ (mixed >> 32))
    return id >= 0xFFFF_FFFE ? id & 0x7FFF_FFFF : id
  }

  private func stub(
    _ vmx: [UInt8], _ request: StandbyFilesRequest, nvramName: String?
  ) throws(StandbyError) -> [UInt8] {
    let input = StandbyStub.Input(
      source: vmx,
      disks: request.disks.map { .init(slot: $0.slot, descriptorFileName: $0.descriptorFileName) },
      nvramFileName: nvramName, networkMap: networks, displayNameSuffix: displayNameSuffix,
      fallbackDisplayName: request.displayName)
    do throws(VMXError) { return try StandbyStub.make(input).bytes } catch {
      throw .filesRefused(detail: "\(error)")
    }
  }
}
