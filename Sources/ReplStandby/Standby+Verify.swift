import ReplDigest
import ReplIO
import ReplModel

extension Standby {
  /// Reads a disk of the newest point and compares every page with the map, in one go. Throws when there is
  /// no map to compare with: `.keyMissing`, or `.diverged` when it had to be made from the disk and does not
  /// have the point's root. Nothing is noted; `StandbyStore.verify` does that.
  public func verifyDisk(
    _ disk: DiskID, _ choice: VerifyChoice = .everything, listLimit: Int = 1000
  ) throws(StandbyError) -> VerifyReport {
    let verifier = DiskVerifier(disk, choice, listLimit: listLimit)
    _ = try verifier.run(on: self) { (_) throws(StandbyError) in true }
    return verifier.report
  }
}
