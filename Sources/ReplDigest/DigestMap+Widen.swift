import ReplIO
import ReplModel

extension DigestMap {
  /// What the map file `name` is a map of, by its newest header; nil when there is none that is good. For
  /// callers that expect it to differ from what they want.
  public static func format(
    of name: String, in directory: any StorageDirectory
  ) throws(DigestError) -> DigestMapFormat? {
    guard try storage({ () throws(IOError) in try directory.contains(name) }) else { return nil }
    let file = try storage { () throws(IOError) in try directory.openFile(name, .read) }
    let size = try storage { () throws(IOError) in try file.currentSizeBytes() }
    do throws(DigestError) { return try newestHeader(file, size: size).header.format } catch {
      // Damaged, or a newer program's: there is nothing in it to go on with.
      guard error.cause == nil else { throw error }
      return nil
    }
  }

  /// A new map, in file `name`, of the same point on a larger disk whose new part is all zero. Durably takes
  /// the place of whatever had that name; this map stays as it is.
  ///
  /// No page is digested anew: a short last page was digested as if zeros followed it, which they now do.
  /// The leaves are copied, the nodes computed, holes skipped. A crash leaves a map that says it is working,
  /// or a whole one. Throws `.wrongState` unless this map is at a point, `.outOfRange` for a grid that is
  /// not larger or has other pages.
  public func widened(
    to grid: PageGrid, as name: String, in directory: any StorageDirectory
  ) throws(DigestError) -> DigestMap {
    try requirePoint("a wider one of the same point")
    guard case .at(let reference, let pass) = state else {
      throw DigestError(.wrongState, path, "the map is no longer at a point")
    }
    guard grid.pageSizeBytes == format.grid.pageSizeBytes, grid.sizeBytes > format.grid.sizeBytes else {
      throw DigestError(
        .outOfRange, path,
        "a map of \(format.grid.sizeBytes) bytes in pages of \(format.grid.pageSizeBytes) cannot be widened "
          + "to \(grid.sizeBytes) bytes in pages of \(grid.pageSizeBytes)")
    }
    let wide = try DigestMap.create(
      name, in: directory, format: DigestMapFormat(disk: format.disk, grid: grid, keyID: format.keyID))
    try copyLeaves(into: wide)
    _ = try wide.finish(at: reference, pass: pass)
    return wide
  }

  /// Blocks of leaves from the first that holds something; entries past the last page are zero already.
  private func copyLeaves(into wide: DigestMap) throws(DigestError) {
    let buffer = AlignedBuffer(byteCount: DigestLimits.leavesPerBlock * DigestTree.leafBytes)
    var next: Int64 = 0
    while let leaf = try content.leafWithContent(atOrAfter: next) {
      let count = min(Int64(DigestLimits.leavesPerBlock), content.layout.leafCount - leaf)
      let part = UnsafeMutableRawBufferPointer(
        rebasing: buffer.bytes[..<(Int(count) * DigestTree.leafBytes)])
      try content.readLeaves(from: leaf, into: part)
      try wide.content.writeLeaves(from: leaf, UnsafeRawBufferPointer(part))
      next = leaf + count
    }
  }
}
