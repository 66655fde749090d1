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
    try checkFloor()
    try checkFit(offer)
    try enterDisks(offer)
    return try IncomingSeed(standby: self, offer: offer, readingSeconds: readingSeconds)
  }

  /// Throws what would refuse a pass before anything is looked at: owner, fence, divergence, epoch.
  public func checkPass(_ offer: PassOffer) throws(StandbyError) {
    try checkMayWrite(offer)
    try offer.check()
  }

  /// Whether a pass that brings the first copy of a disk can begin at once: there is nothing of it yet, or
  /// what there is is known. Else all of it is read first: after a crash, and when size, page size or key
  /// changed.
  public func knowsContent(of offered: PassOffer.Disk) -> Bool {
    guard let entry = catalog.disk(offered.disk), entry.state != .ready else { return true }
    // What cannot be asked is found when the disk is opened.
    if entry.device != nil { return SeedingDisk.headStart(offered, self) != nil }
    // The same.
    guard (try? home.directory.contains(entry.flatFileName)) == true else { return true }
    return SeedingDisk.headStart(offered, self) != nil
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
}
