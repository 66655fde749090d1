import ReplIO
import ReplModel
import ReplVMDK

/// The frozen, readable state of all disks of a VM that one pass reads.
public final class VMView: Sendable {
  public let id: ViewID
  public let vm: VMID
  public let displayName: String
  /// When the disks stood still, by this machine's clock.
  public let frozenAt: WallTime
  public let label: PointLabel
  public let disks: [ViewDisk]
  /// The VMX as it was when the view was taken.
  public let vmx: [UInt8]
  /// Empty bytes are a file too; nil when the VM has none.
  public let nvram: [UInt8]?
  private let stillness: Stillness

  init(
    vm: VMID, displayName: String, frozenAt: WallTime, label: PointLabel, disks: [ViewDisk], vmx: [UInt8],
    nvram: [UInt8]?, stillness: Stillness
  ) {
    id = .random()
    self.vm = vm
    self.displayName = displayName
    self.frozenAt = frozenAt
    self.label = label
    self.disks = disks
    self.vmx = vmx
    self.nvram = nvram
    self.stillness = stillness
  }

  public var totalBytes: Int64 { disks.reduce(0) { $0 + $1.image.sizeBytes } }

  /// Throws when any file of the view changed since it was taken, or somebody runs the VM by now. A fuzzy
  /// view promises nothing and never throws here.
  public func checkUnchanged() throws(SourceError) {
    if label == .fuzzy { return }
    try stillness.check()
  }
}

/// One disk of a view.
public struct ViewDisk: Sendable {
  public let id: DiskID
  public let slot: DiskSlot
  public let image: any BlockReadable
  public let facts: DiskFacts
}
