import ReplIO
import ReplModel

/// Which bytes of which files the extents of a disk claim: no two may claim the same.
struct FileClaims {
  private struct Claim {
    let device: UInt64
    let inode: UInt64
    let range: ByteRange
    let name: String
    let path: String
    let place: VMDKError.Place?
    /// The later of two is the one that is wrong.
    let order: Int

    var key: (UInt64, UInt64, Int64, Int) { (device, inode, range.offset, order) }
  }

  private var claims: [Claim] = []

  mutating func add(
    _ status: FileStatus, _ range: ByteRange, _ name: String, _ place: VMDKError.Place?,
    descriptorPath: String
  ) {
    claims.append(
      Claim(
        device: status.device, inode: status.inode, range: range, name: name, path: descriptorPath,
        place: place, order: claims.count))
  }

  func check() throws(VMDKError) {
    let sorted = claims.sorted { $0.key < $1.key }
    for (left, right) in zip(sorted, sorted.dropFirst()) {
      guard left.device == right.device, left.inode == right.inode, left.range.end > right.range.offset
      else { continue }
      let later = left.order > right.order ? left : right
      throw VMDKError(
        .sameRangeTwice, later.path, later.place,
        "\"\(SafeText.printable(later.name))\" is used twice for the same bytes: the descriptor is damaged")
    }
  }
}
