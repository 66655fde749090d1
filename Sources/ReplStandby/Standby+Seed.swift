import ReplIO
import ReplModel

extension Standby {
  /// Accepts the offer of a seed or refuses it, by the rules of a pass. Refuses with `.badOffer` when there
  /// is no recovery point yet, or when the newest one holds an offered disk: what it holds is only changed
  /// through a journal. New disks are entered in the catalog, durably, before their first byte.
  ///
  /// After a crash the disks are read first, for `readingSeconds` at a time: then `.readingAgain` is thrown,
  /// and the next offer goes on.
  public func beginSeed(
    _ offer: PassOffer, readingSeconds: Double? = nil
  ) throws(StandbyError) -> IncomingSeed {
    try checkMayWrite(offer)
    try offer.check()
    try checkSeed(offer)
    try checkDisks(offer)
    try checkFreeSpace()
    try enterDisks(offer)
    return try IncomingSeed(standby: self, offer: offer, readingSeconds: readingSeconds)
  }

  /// Throws what would refuse a pass before anything is looked at: owner, fence, divergence, epoch.
  public func checkPass(_ offer: PassOffer) throws(StandbyError) {
    try checkMayWrite(offer)
    try offer.check()
  }

  /// Whether it is known what a seeding disk holds, without reading all of it.
  public func knowsContent(ofSeeding disk: DiskID) -> Bool {
    guard let entry = catalog.disk(disk), entry.state == .seeding else { return true }
    // What cannot be asked is found when the disk is opened.
    let hasFile = try? home.directory.contains(entry.flatFileName)
    // As above.
    let hasMap = try? maps.contains(StandbyLayout.map(of: disk))
    return hasFile != true || hasMap == true
  }

  private func checkSeed(_ offer: PassOffer) throws(StandbyError) {
    guard let newest = catalog.newest else {
      throw .badOffer(detail: "a seed of VM \(offer.vm), which has no recovery point: it needs a pass first")
    }
    for disk in offer.disks where newest.disk(disk.disk) != nil || catalog.disk(disk.disk)?.state == .ready {
      throw .badOffer(
        detail: "a seed of disk \(disk.disk), which recovery point \(newest.reference) holds: "
          + "it is brought by passes")
    }
  }

  private func checkFreeSpace() throws(StandbyError) {
    guard try freeBytesAboveFloor() == 0 else { return }
    let free = try storing { () throws(IOError) in try home.directory.freeBytes() }
    throw .outOfSpace(path: path, neededBytes: store.freeSpaceFloorBytes + 1, freeBytes: free)
  }
}
