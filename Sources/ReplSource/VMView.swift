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
  private let stillness: [FileStillness]

  init(
    vm: VMID, displayName: String, frozenAt: WallTime, label: PointLabel, disks: [ViewDisk], vmx: [UInt8],
    nvram: [UInt8]?, stillness: [FileStillness]
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

  /// Throws when any file of the view changed since it was taken. A fuzzy view promises nothing and never
  /// throws here.
  public func checkUnchanged() throws(SourceError) {
    if label == .fuzzy { return }
    for file in stillness { try file.check() }
  }
}

/// One disk of a view.
public struct ViewDisk: Sendable {
  public let id: DiskID
  public let slot: DiskSlot
  public let image: any BlockReadable
  public let facts: DiskFacts
}

/// What a file looked like when the view was taken.
struct FileStillness: Sendable {
  let file: PosixFile
  let status: FileStatus

  init(_ file: PosixFile) throws(IOError) {
    self.file = file
    status = try file.status()
  }

  func check() throws(SourceError) {
    let now: FileStatus
    do throws(IOError) { now = try file.status() } catch { throw .io(error) }
    if now.sizeBytes != status.sizeBytes {
      throw .changed(
        path: file.path, what: "its size went from \(status.sizeBytes) to \(now.sizeBytes) bytes")
    }
    if now.modifiedNanoseconds != status.modifiedNanoseconds {
      throw .changed(path: file.path, what: "it was written to")
    }
    if now.linkCount == 0 { throw .changed(path: file.path, what: "it was removed") }
  }
}
