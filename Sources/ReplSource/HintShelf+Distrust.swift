import ReplIO
import ReplModel
import Synchronization

/// Whose hints were found wrong: a file for each VM, which the daemon and the command `hint trust` change.
extension HintShelf {
  private static let distrustLimitBytes = 256 << 10
  private static let lockName = "distrust.lock"
  /// A change takes a sync or two.
  private static let lockSeconds = 10.0

  private static func fileName(_ vm: VMID) -> String { "\(vm).distrust" }

  /// Throws when there is something and it cannot be read: then no hint is to be trusted.
  func distrust(of vm: VMID) throws(IOError) -> HintDistrust {
    var known = try written(of: vm)
    for entry in unwritten.withLock({ $0[vm] ?? [] }) { known.add(entry) }
    return known
  }

  private func written(of vm: VMID) throws(IOError) -> HintDistrust {
    let name = Self.fileName(vm)
    guard try directory.contains(name) else { return HintDistrust() }
    let bytes = try directory.readFile(name, limitBytes: Self.distrustLimitBytes)
    guard let distrust = SealedText.open(bytes, as: "distrust", HintDistrust.self) else {
      throw IOError(
        .damaged, "read", path: "\(directory.path)/\(name)",
        detail: "what was distrusted is not known any more: `repl-sender hint trust` begins anew")
    }
    return distrust
  }

  /// One more, durable when it returns. What could not be written is distrusted by this process all the same,
  /// and written by `writeUnwritten` as soon as that can be done.
  func add(_ entry: HintDistrust.Entry, of vm: VMID) throws(IOError) {
    unwritten.withLock { $0[vm, default: []].append(entry) }
    try writeUnwritten(of: vm)
  }

  /// Writes what could not be written before. The operator's word of the meantime is not known here: what he
  /// trusted before it was written is distrusted again.
  func writeUnwritten(of vm: VMID) throws(IOError) {
    let entries = unwritten.withLock { $0[vm] ?? [] }
    if entries.isEmpty { return }
    try locked { () throws(IOError) in
      var known = try written(of: vm)
      for entry in entries { known.add(entry) }
      try keep(known, of: vm)
    }
    unwritten.withLock { all in
      all[vm]?.removeAll { entries.contains($0) }
      if all[vm]?.isEmpty == true { all[vm] = nil }
    }
  }

  /// Whether it is known only to this process that hints of the disk were wrong.
  func hasUnwritten(_ disk: DiskID, of vm: VMID) -> Bool {
    unwritten.withLock { $0[vm]?.contains { $0.disk == disk } == true }
  }

  /// Hints of the VM are used again, from its next pass on. The count of contradictions stays.
  /// - Returns: the slots that were distrusted; nil when what was distrusted could not be read.
  public func trust(_ vm: VMID) throws(IOError) -> [DiskSlot]? {
    unwritten.withLock { $0[vm] = nil }
    return try locked { () throws(IOError) -> [DiskSlot]? in
      // Damaged: nothing of it is worth keeping.
      guard var known = try? written(of: vm) else {
        try removeDistrust(of: vm)
        return nil
      }
      let slots = Set(known.entries.map(\.slot)).sorted()
      if slots.isEmpty { return [] }
      known.entries = []
      try keep(known, of: vm)
      return slots
    }
  }

  func removeDistrust(of vm: VMID) throws(IOError) { try remove(Self.fileName(vm)) }

  private func keep(_ distrust: HintDistrust, of vm: VMID) throws(IOError) {
    try directory.replaceFile(Self.fileName(vm), with: SealedText.seal(distrust, as: "distrust"))
  }

  /// The command and the daemon read, change and write the same file.
  private func locked<Result>(_ body: () throws(IOError) -> Result) throws(IOError) -> Result {
    let end = Deadline(seconds: Self.lockSeconds)
    while true {
      if let lock = try directory.tryLock(Self.lockName) {
        let result = try body()
        withExtendedLifetime(lock) {}
        return result
      }
      guard !end.hasPassed else {
        throw IOError(
          .system(11), "lock", path: "\(directory.path)/\(Self.lockName)",
          detail: "another process has held it for \(Int(Self.lockSeconds)) s")
      }
      Pause.milliseconds(20)
    }
  }
}
