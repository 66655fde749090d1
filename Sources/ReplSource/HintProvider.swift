import ReplIO
import ReplModel
import ReplVMDK

/// Why there is no hint for a disk this time, in words: all of it is read.
struct HintRefusal: Error, Hashable, CustomStringConvertible {
  let description: String

  init(_ description: String) { self.description = description }
}

/// What a provider says of one disk.
struct HintAnswer {
  /// What may have changed since the base.
  var changed: Result<HintedRanges, HintRefusal>
  /// What it needs to know the next time; nil when it cannot answer then either.
  var token: HintRecord.Token?
}

/// Finds out what may have changed on the disks of a view. Blocks; asked once for each disk, while the view
/// stands.
protocol HintProvider: AnyObject {
  /// `known` is what was kept of the disk at the base; nil when there is no record that fits: then only what
  /// the next pass needs is asked for.
  func answer(for disk: ViewDisk, since known: HintRecord.Disk?) -> HintAnswer
}

extension HintRefusal {
  static let noRecord = HintRefusal("no record of the last pass fits")

  /// A disk that is no VMDK.
  static let noImage = HintRefusal("the disk is not made of VMDK files")
}
