import ReplIO
import ReplModel

/// What the storage says of holes is a hint like any other, which all passes go by, whatever the settings.
extension ViewHints {
  /// As the provider of distrust.
  static let holes = "holes"

  /// What speaks against the holes of a disk.
  struct HoleTrouble: Sendable {
    let refusal: String
    /// Where a hole was found to hold something in this pass.
    var offset: Int64?
  }

  /// Whether holes of the disk may be left out. Asked once, before the scan.
  public func trustsHoles(of disk: DiskID) -> Bool {
    do throws(HintRefusal) {
      try checkTrust(disk, of: Self.holes)
      return true
    } catch {
      let refusal = error.description
      state.withLock { $0.plans[disk]?.holes = HoleTrouble(refusal: refusal) }
      return false
    }
  }

  /// A hole of the disk held something: its storage is not trusted any more, durably. The disk must be read
  /// in full before the pass commits.
  public func distrustHoles(of disk: DiskID, _ slot: DiskSlot, at offset: Int64) {
    let why = "the storage said that nothing is at byte \(offset), and something is"
    report(
      FreezeEvent(
        .error,
        "disk \(slot): \(why): all of the disk is read now and from now on; see what its filesystem, its "
          + "version and its mount options have to do with it, then run `repl-sender hint trust`"))
    state.withLock { $0.plans[disk]?.holes = HoleTrouble(refusal: why, offset: offset) }
    distrust(disk, slot, offset, provider: Self.holes)
  }
}
