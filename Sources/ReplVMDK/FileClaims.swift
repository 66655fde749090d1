import ReplIO
import ReplModel

/// Which bytes of which files the extents of a disk claim: no two may claim the same.
struct FileClaims {
  private struct FileKey: Hashable {
    let device: UInt64
    let inode: UInt64
  }

  /// Sorted by offset.
  private var claims: [FileKey: [ByteRange]] = [:]

  mutating func add(
    _ status: FileStatus, _ range: ByteRange, _ name: String, _ place: VMDKError.Place, descriptorPath: String
  ) throws(VMDKError) {
    let key = FileKey(device: status.device, inode: status.inode)
    let known = claims[key] ?? []
    // Searched from the end: extents mostly come in order.
    let index = (known.lastIndex { $0.offset <= range.offset } ?? -1) + 1
    let before = index > 0 ? known[index - 1].end : 0
    let after = index < known.count ? known[index].offset : .max
    guard before <= range.offset, range.end <= after else {
      throw VMDKError(
        .sameRangeTwice, descriptorPath, place,
        "\"\(SafeText.printable(name))\" is used twice for the same bytes: the descriptor is damaged")
    }
    claims[key, default: []].insert(range, at: index)
  }
}
