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
  /// The disks of the VM that are not part of the view, because the request excluded them.
  public let excluded: [DiskSlot]
  /// What went wrong without harm to the view, such as a post-thaw hook that failed: for a person.
  public let troubles: [SourceError]
  /// How long writers of the files may have waited while they were cloned; nil without clones.
  public let cloneSeconds: Double?
  let clones: ViewClones?
  private let stillness: Stillness
  let held: HeldFreeze?

  init(
    vm: VMID, displayName: String, frozenAt: WallTime, label: PointLabel, disks: [ViewDisk], vmx: [UInt8],
    nvram: [UInt8]?, excluded: [DiskSlot] = [], troubles: [SourceError] = [], stillness: Stillness,
    held: HeldFreeze? = nil, cloneSeconds: Double? = nil, clones: ViewClones? = nil
  ) {
    id = .random()
    self.vm = vm
    self.displayName = displayName
    self.frozenAt = frozenAt
    self.label = label
    self.disks = disks
    self.vmx = vmx
    self.nvram = nvram
    self.excluded = excluded
    self.troubles = troubles
    self.stillness = stillness
    self.held = held
    self.cloneSeconds = cloneSeconds
    self.clones = clones
  }

  public var totalBytes: Int64 { disks.reduce(0) { $0 + $1.image.sizeBytes } }

  /// Throws when any file of the view changed since it was taken, or somebody runs the VM by now. A fuzzy
  /// view promises nothing and never throws here.
  public func checkUnchanged() throws(SourceError) {
    if label == .fuzzy { return }
    try stillness.check()
  }

  /// Gives back what holds the disks still; called after the pass, whatever happened. Blocks. The second call
  /// answers what the first did.
  public func release() throws(SourceError) -> FreezeHold {
    // Nothing keeps a powered-off VM still.
    try held?.release() ?? FreezeHold(heldSeconds: 0, guestHeldSeconds: nil)
  }
}

/// One disk of a view.
public struct ViewDisk: Sendable {
  public let id: DiskID
  public let slot: DiskSlot
  public let image: any BlockReadable
  public let facts: DiskFacts
  /// As the VMX names it; nil where no VMX does.
  var fileName: String?
}
