import ReplIO
import ReplModel
import Synchronization

/// The records of change hints in the state directory (`hints/`), a file for each VM. Losing them costs one
/// full scan each.
public final class HintShelf: Sendable {
  /// 64 disks with some thousand ranges for each link of their chains.
  private static let recordLimitBytes = 16 << 20
  private static let recordSuffix = ".hint"

  let directory: any StorageDirectory
  /// What could not be written: distrusted all the same, until it is or the process ends.
  let unwritten = Mutex<[VMID: [HintDistrust.Entry]]>([:])

  /// `state` is the state directory.
  public init(state: any StorageDirectory) throws(IOError) {
    directory = try state.createDirectory("hints")
    try state.sync()
  }

  /// What is there of a VM.
  enum Reading {
    case nothing
    case record(HintRecord)
    /// In words.
    case useless(String)
  }

  func record(of vm: VMID) -> Reading {
    do throws(IOError) {
      let name = "\(vm)\(Self.recordSuffix)"
      guard try directory.contains(name) else { return .nothing }
      let bytes = try directory.readFile(name, limitBytes: Self.recordLimitBytes)
      guard let record = SealedText.open(bytes, as: "hint", HintRecord.self) else {
        return .useless("the record of the last pass (\(directory.path)/\(name)) is damaged")
      }
      guard record.version == HintRecord.currentVersion, record.vm == vm else {
        return .useless("the record of the last pass is of another version or VM")
      }
      return .record(record)
    } catch { return .useless("the record of the last pass cannot be read: \(error)") }
  }

  /// Durable when it returns.
  func keep(_ record: HintRecord) throws(IOError) {
    let name = "\(record.vm)\(Self.recordSuffix)"
    let bytes = SealedText.seal(record, as: "hint")
    guard bytes.count <= Self.recordLimitBytes else {
      throw IOError(
        .limit, "write", path: "\(directory.path)/\(name)",
        detail: "\(bytes.count) bytes, at most \(Self.recordLimitBytes) are read: too many links and ranges")
    }
    try directory.replaceFile(name, with: bytes)
  }

  /// Durable when it returns; nothing when there is none.
  public func removeRecord(of vm: VMID) throws(IOError) {
    try remove("\(vm)\(Self.recordSuffix)")
  }

  func remove(_ name: String) throws(IOError) {
    guard try directory.contains(name) else { return }
    try directory.removeFile(name)
    try directory.sync()
  }

  /// The tag of the clones that the record of a VM needs. A record that cannot be read needs none.
  func keptTag(of vm: VMID) -> String? { kept(of: vm)?.tag }

  /// The clones that the record of a VM needs.
  func kept(of vm: VMID) -> HintRecord.Kept? {
    if case .record(let record) = record(of: vm) { record.kept } else { nil }
  }

  /// Everything of a VM goes.
  public func forget(_ vm: VMID) throws(IOError) {
    try removeRecord(of: vm)
    try removeDistrust(of: vm)
  }
}
