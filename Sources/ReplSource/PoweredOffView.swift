import ReplDigest
import ReplIO
import ReplModel
import ReplVMDK
import ReplVMX

/// The freeze provider `none`: a view of the files as they lie there, right for a VM that is powered off.
///
/// That it stands still is checked, not believed: locks and swap files before and after the read, and after
/// it identity, size and times of every file, opened anew (`VMView.checkUnchanged`). With `allowFuzzy` a
/// running VM is read all the same and the point says so.
public struct PoweredOffView: Sendable {
  public let vmxPath: String
  public let allowFuzzy: Bool
  private let time: any TimeSource

  /// `vmxPath` is absolute and comes from the operator's configuration.
  public init(vmxPath: String, allowFuzzy: Bool, time: any TimeSource = SystemTime()) {
    self.vmxPath = vmxPath
    self.allowFuzzy = allowFuzzy
    self.time = time
  }

  /// Opens the VM's folder and takes the view.
  public func take() throws(SourceError) -> VMView {
    let frozenAt = time.wallTime()
    let folder = try SourceFolder(vmxPath: vmxPath)
    let vmx = try folder.readVMX()
    let evidence = try folder.runningEvidence()
    if let evidence, !allowFuzzy { throw .running(path: vmxPath, evidence: evidence) }
    let disks = try folder.openDisks(vmx)
    let (stillness, held) = try Stillness.take(of: disks, vmxPath: vmxPath)
    if let held, !allowFuzzy { throw .running(path: vmxPath, evidence: held) }
    return VMView(
      vm: vmx.vm, displayName: vmx.displayName, frozenAt: frozenAt,
      label: evidence ?? held == nil ? .crashConsistent : .fuzzy,
      disks: disks.map(\.disk), vmx: vmx.bytes, nvram: try folder.readNVRAM(vmx), stillness: stillness)
  }

  /// Who the VM is, without touching its disks.
  public static func identity(vmxPath: String) throws(SourceError) -> (vm: VMID, displayName: String) {
    let vmx = try SourceFolder(vmxPath: vmxPath).readVMX()
    return (vmx.vm, vmx.displayName)
  }
}
