import ReplDigest
import ReplIO
import ReplModel
import ReplVMDK
import ReplVMX

/// The freeze provider `none`: a view of the files as they lie there, right for a VM that is powered off.
///
/// That it stands still is checked, not believed: locks and swap files before, and size and time of every
/// file after the read (`VMView.checkUnchanged`). With `allowFuzzy` a running VM is read all the same and the
/// point says so.
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
    var stillness: [FileStillness] = []
    var isRunning = evidence != nil
    for file in disks.flatMap(\.files) {
      let (still, isHeld) = try Self.inspect(file)
      guard !isHeld || allowFuzzy else {
        throw .running(path: vmxPath, evidence: "\(file.path) is held open by QEMU")
      }
      isRunning = isRunning || isHeld
      stillness.append(still)
    }
    return VMView(
      vm: vmx.vm, displayName: vmx.displayName, frozenAt: frozenAt,
      label: isRunning ? .fuzzy : .crashConsistent,
      disks: disks.map(\.disk), vmx: vmx.bytes, nvram: try folder.readNVRAM(vmx), stillness: stillness)
  }

  /// Who the VM is, without touching its disks.
  public static func identity(vmxPath: String) throws(SourceError) -> (vm: VMID, displayName: String) {
    let vmx = try SourceFolder(vmxPath: vmxPath).readVMX()
    return (vmx.vm, vmx.displayName)
  }

  private static func inspect(_ file: PosixFile) throws(SourceError) -> (FileStillness, isHeld: Bool) {
    do throws(IOError) {
      return (try FileStillness(file), try file.isLocked(LockRange.qemu))
    } catch { throw .io(error) }
  }
}

enum LockRange {
  /// QEMU's permission locks: bytes 100-103 and 200-203 of an open image.
  static let qemu = ByteRange(offset: 100, length: 104)
}
