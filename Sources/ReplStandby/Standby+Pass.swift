import ReplDigest
import ReplIO
import ReplModel

extension Standby {
  /// Accepts an offer or refuses it; nothing is written before every check has passed. New disks are entered
  /// in the catalog, durably, before their first byte.
  public func beginPass(_ offer: PassOffer) throws(StandbyError) -> IncomingPass {
    try checkMayWrite(offer)
    try offer.check()
    try checkDisks(offer)
    if try freeBytesAboveFloor() == 0 {
      let free = try storing { () throws(IOError) in try home.directory.freeBytes() }
      throw .outOfSpace(path: path, neededBytes: store.freeSpaceFloorBytes + 1, freeBytes: free)
    }
    try enterDisks(offer)
    for disk in offer.disks {
      if let entry = catalog.disk(disk.disk), entry.state == .ready, entry.keyID != disk.keyID {
        try rekey(entry, to: disk.keyID)
      }
    }
    return try IncomingPass(standby: self, offer: offer)
  }

  private func checkMayWrite(_ offer: PassOffer) throws(StandbyError) {
    guard offer.vm == catalog.vm else {
      throw .badOffer(detail: "VM \(offer.vm) was offered to \(catalog.vm)")
    }
    guard offer.owner == catalog.owner else {
      throw .notYours(vm: catalog.vm, owner: catalog.owner, peer: offer.owner)
    }
    try checkFence()
    if let found = catalog.divergence {
      throw .diverged(disk: found.disk, page: found.page, detail: found.detail)
    }
    if case .failure(let error) = recovery { throw error }
    try checkFailoverRequest()
    // A sender that knows no epoch may only meet a standby that never had another than the first.
    guard (offer.epoch ?? Epoch(1)) == catalog.epoch else {
      throw .staleEpoch(offered: offer.epoch, current: catalog.epoch)
    }
  }

  private func checkDisks(_ offer: PassOffer) throws(StandbyError) {
    for disk in offer.disks {
      guard try store.key(disk.keyID) != nil else { throw .keyMissing(key: disk.keyID) }
      guard let entry = catalog.disk(disk.disk) else { continue }
      guard entry.grid.sizeBytes == disk.grid.sizeBytes else {
        throw .diskChanged(
          disk: disk.disk,
          detail:
            "it had \(entry.grid.sizeBytes) bytes and was offered with \(disk.grid.sizeBytes): a disk that "
            + "changed its size must be seeded anew")
      }
      guard entry.state != .ready || entry.grid == disk.grid else {
        throw .diskChanged(
          disk: disk.disk,
          detail: "it has pages of \(entry.grid.pageSizeBytes) bytes and was offered with "
            + "\(disk.grid.pageSizeBytes): keep the page size, or seed the disk anew")
      }
      if entry.state == .ready { _ = try openDiskFile(entry, .readWrite) }
    }
    let known = Set(catalog.disks.map(\.disk))
    guard catalog.disks.count + offer.disks.filter({ !known.contains($0.disk) }).count <= Limits.disksPerVM
    else {
      throw .badOffer(detail: "more than \(Limits.disksPerVM) disks, detached ones counted")
    }
  }

  /// Enters disks that are new or come back; both begin with a first copy.
  private func enterDisks(_ offer: PassOffer) throws(StandbyError) {
    var (disks, points) = (catalog.disks, catalog.points)
    for offered in offer.disks {
      guard let index = disks.firstIndex(where: { $0.disk == offered.disk }) else {
        disks.append(
          CatalogDisk(
            disk: offered.disk, slot: offered.slot, fileStem: Self.freeStem(for: offered, among: disks),
            grid: offered.grid, keyID: offered.keyID, facts: offered.facts, state: .seeding,
            isSuspect: false))
        continue
      }
      if disks[index].state == .ready { continue }
      // Its first copy overwrites what an older point may still need of it: that point ends here, and says
      // so.
      points = points.dropLast().filter { $0.disk(offered.disk) == nil } + points.suffix(1)
      (disks[index].state, disks[index].grid) = (.seeding, offered.grid)
      (disks[index].slot, disks[index].keyID, disks[index].facts) = (
        offered.slot, offered.keyID, offered.facts
      )
    }
    if disks != catalog.disks || points != catalog.points {
      try update { ($0.disks, $0.points) = (disks, points) }
    }
  }

  /// The slot's name; with a part of the disk's identity when another disk had that slot before.
  private static func freeStem(for disk: PassOffer.Disk, among disks: [CatalogDisk]) -> String {
    let plain = disk.slot.fileStem
    if !disks.contains(where: { $0.fileStem == plain }) { return plain }
    return "\(plain)-\(HexText.encode(disk.disk.bytes))"
  }
}
