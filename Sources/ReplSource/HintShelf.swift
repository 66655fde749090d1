import ReplIO
import ReplModel

/// The records of change hints in the state directory (`hints/`), a file for each VM. Losing them costs one
/// full scan each.
public final class HintShelf: Sendable {
  /// 64 disks with some thousand ranges for each link of their chains.
  private static let recordLimitBytes = 16 << 20
  private static let distrustLimitBytes = 256 << 10
  private static let recordSuffix = ".hint"
  private static let distrustSuffix = ".distrust"

  private let directory: any StorageDirectory

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

  private func remove(_ name: String) throws(IOError) {
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

  // MARK: Distrust

  /// Throws when there is something and it cannot be read: then no hint is to be trusted.
  func distrust(of vm: VMID) throws(IOError) -> HintDistrust {
    let name = "\(vm)\(Self.distrustSuffix)"
    guard try directory.contains(name) else { return HintDistrust() }
    let bytes = try directory.readFile(name, limitBytes: Self.distrustLimitBytes)
    guard let distrust = SealedText.open(bytes, as: "distrust", HintDistrust.self) else {
      throw IOError(
        .damaged, "read", path: "\(directory.path)/\(name)",
        detail: "what was distrusted is not known any more: `repl-sender hint trust` begins anew")
    }
    return distrust
  }

  func keep(_ distrust: HintDistrust, of vm: VMID) throws(IOError) {
    try directory.replaceFile("\(vm)\(Self.distrustSuffix)", with: SealedText.seal(distrust, as: "distrust"))
  }

  /// Hints of the VM are used again, from its next pass on. The count of contradictions stays.
  /// - Returns: the slots that were distrusted; nil when what was distrusted could not be read.
  public func trust(_ vm: VMID) throws(IOError) -> [DiskSlot]? {
    // Damaged: nothing of it is worth keeping.
    guard var known = try? distrust(of: vm) else {
      try remove("\(vm)\(Self.distrustSuffix)")
      return nil
    }
    let slots = known.entries.map(\.slot)
    if slots.isEmpty { return [] }
    known.entries = []
    try keep(known, of: vm)
    return slots
  }

  /// Everything of a VM goes.
  public func forget(_ vm: VMID) throws(IOError) {
    try removeRecord(of: vm)
    try remove("\(vm)\(Self.distrustSuffix)")
  }
}
