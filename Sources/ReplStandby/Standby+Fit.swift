import Glibc
import ReplIO
import ReplModel

extension Standby {
  /// Throws when the store cannot hold what an offer brings, before anything of it is written: a disk that is
  /// larger than a file may be or, where files take all of their size at once, than what is free above the
  /// floor.
  func checkFit(_ offer: PassOffer) throws(StandbyError) {
    var thickBytes: Int64 = 0
    for offered in offer.disks {
      let entry = catalog.disk(offered.disk)
      if try isOnDevice(offered) { continue }
      let held = try heldBytes(of: entry)
      guard held < offered.grid.sizeBytes else { continue }
      thickBytes += offered.grid.sizeBytes - held
      try checkLargest(offered, isGrown: entry?.state == .ready)
    }
    guard store.options.isThick, thickBytes > 0 else { return }
    let free = try freeBytesAboveFloor()
    guard thickBytes <= free else {
      throw .doesNotFit(path: path, neededBytes: thickBytes, freeBytes: free)
    }
  }

  /// What the disk's file has already.
  private func heldBytes(of entry: CatalogDisk?) throws(StandbyError) -> Int64 {
    guard let entry else { return 0 }
    return try storing { () throws(IOError) in
      guard try home.directory.contains(entry.flatFileName) else { return 0 }
      return try home.directory.openFile(entry.flatFileName, .read).currentSizeBytes()
    }
  }

  /// Of a disk on a device the device must be large enough.
  private func isOnDevice(_ offered: PassOffer.Disk) throws(StandbyError) -> Bool {
    try checkDevice(offered)
    guard let entry = catalog.disk(offered.disk) else {
      return store.options.devices?.path(for: catalog, slot: offered.slot) != nil
    }
    return entry.device != nil
  }

  private func checkLargest(_ offered: PassOffer.Disk, isGrown: Bool) throws(StandbyError) {
    let size = offered.grid.sizeBytes
    if let traits = store.options.traits {
      guard size > traits.largestFileBytes else { return }
      throw tooLarge(offered, isGrown: isGrown, largestBytes: traits.largestFileBytes)
    }
    // Nobody looked what the storage can do: tried with an empty file. Sparse, or nobody would have asked.
    let name = StandbyLayout.growthProbe
    do throws(IOError) {
      try home.points.openFile(name, .createIfMissing).truncate(to: size)
      try home.points.removeFile(name)
    } catch {
      // Empty, and removed by the next settling at the latest.
      try? home.points.removeFile(name)
      guard error.systemCode == EFBIG else { throw StandbyError(error) }
      throw tooLarge(offered, isGrown: isGrown, largestBytes: nil)
    }
  }

  private func tooLarge(
    _ offered: PassOffer.Disk, isGrown: Bool, largestBytes: Int64?
  ) -> StandbyError {
    .diskChanged(
      disk: offered.disk,
      detail: "\(offered.slot) \(isGrown ? "grew to" : "has") \(offered.grid.sizeBytes) bytes, and the "
        + "filesystem of \(path) cannot hold a file of that size"
        + (largestBytes.map { ": \($0) bytes are the most" } ?? "") + ": move the store to one that can")
  }
}
