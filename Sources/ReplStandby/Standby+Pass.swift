import ReplDigest
import ReplIO
import ReplModel

extension Standby {
  /// Accepts an offer or refuses it; nothing is written before every check has passed. New disks are entered
  /// in the catalog, durably, before their first byte.
  public func beginPass(_ offer: PassOffer) throws(StandbyError) -> IncomingPass {
    try checkMayWrite(offer)
    try offer.check()
    try checkPresence(of: offer)
    try recordingDivergence { () throws(StandbyError) in try checkDisks(offer) }
    try checkFloor()
    try checkFit(offer)
    try enterDisks(offer)
    for disk in offer.disks {
      if let entry = catalog.disk(disk.disk), entry.state == .ready, entry.keyID != disk.keyID {
        try rekey(entry, to: disk.keyID)
      }
    }
    return try IncomingPass(standby: self, offer: offer)
  }

  func checkMayWrite(_ offer: PassOffer) throws(StandbyError) {
    guard offer.vm == catalog.vm else {
      throw .badOffer(detail: "VM \(offer.vm) was offered to \(catalog.vm)")
    }
    guard offer.owner == catalog.owner else {
      throw .notYours(vm: catalog.vm, owner: catalog.owner, peer: offer.owner)
    }
    try checkFence()
    if let point = catalog.points.first(where: { $0.pass == offer.pass }) {
      throw .badOffer(detail: "pass \(offer.pass) is recovery point \(point.reference) already")
    }
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

  /// A data file that is gone may come back as it was: that is told, and not noted for good.
  private func checkPresence(of offer: PassOffer) throws(StandbyError) {
    for disk in offer.disks {
      guard let entry = catalog.disk(disk.disk), entry.state == .ready, entry.device == nil else { continue }
      let name = entry.flatFileName
      guard try !storing({ () throws(IOError) in try home.directory.contains(name) }) else { continue }
      throw .diverged(disk: entry.disk, page: nil, detail: "\(home.directory.path)/\(name) is gone")
    }
  }

  func checkDisks(_ offer: PassOffer) throws(StandbyError) {
    for disk in offer.disks {
      guard try store.key(disk.keyID) != nil else { throw .keyMissing(key: disk.keyID) }
      guard let entry = catalog.disk(disk.disk) else { continue }
      try checkGrid(disk, entry)
      if entry.state == .ready { try checkUntouched(entry, try openDiskFile(entry, .readWrite)) }
    }
    let known = Set(catalog.disks.map(\.disk))
    guard catalog.disks.count + offer.disks.filter({ !known.contains($0.disk) }).count <= Limits.disksPerVM
    else {
      throw .badOffer(detail: "more than \(Limits.disksPerVM) disks, detached ones counted")
    }
  }

  private func checkGrid(_ offered: PassOffer.Disk, _ entry: CatalogDisk) throws(StandbyError) {
    let (held, found) = (entry.grid, offered.grid)
    guard held.sizeBytes <= found.sizeBytes else {
      let remove = "\"repl-receiver disk remove \(catalog.vm) \(offered.disk)\""
      throw .diskChanged(
        disk: offered.disk,
        detail: "\(offered.slot) shrank from \(held.sizeBytes) to \(found.sizeBytes) bytes, and a standby "
          + "disk is never cut: give the disk its size back, or begin its copy anew: exclude it at the "
          + "sender (exclude_disks), let two passes commit, run \(remove), and include it again")
    }
    guard entry.state != .ready || held.pageSizeBytes == found.pageSizeBytes else {
      throw .diskChanged(
        disk: offered.disk,
        detail: "it has pages of \(held.pageSizeBytes) bytes and was offered with "
          + "\(found.pageSizeBytes): keep the page size, or seed the disk anew")
    }
  }

  /// Enters disks that are new or come back, durably; both begin with a first copy.
  func enterDisks(_ offer: PassOffer) throws(StandbyError) {
    try endingPoints(for: offer) { (ending) throws(StandbyError) in try enterDisks(offer, ending) }
  }

  /// `ending` need what the first copy of a disk that comes back overwrites: they end here, and say so.
  private func enterDisks(_ offer: PassOffer, _ ending: Set<PointReference>) throws(StandbyError) {
    var disks = catalog.disks
    let kept = catalog.kept.filter { !ending.contains($0.reference) }
    for offered in offer.disks {
      guard let index = disks.firstIndex(where: { $0.disk == offered.disk }) else {
        disks.append(
          CatalogDisk(
            disk: offered.disk, slot: offered.slot, fileStem: Self.freeStem(for: offered, among: disks),
            grid: offered.grid, keyID: offered.keyID, facts: offered.facts, state: .seeding,
            isSuspect: false, device: try takeDevice(for: offered)))
        continue
      }
      if disks[index].state == .ready { continue }
      (disks[index].state, disks[index].grid) = (.seeding, offered.grid)
      (disks[index].slot, disks[index].keyID, disks[index].facts) = (
        offered.slot, offered.keyID, offered.facts
      )
    }
    if disks != catalog.disks || kept != catalog.kept {
      try update { ($0.disks, $0.kept) = (disks, kept) }
    }
  }

  /// The slot's name; with a part of the disk's identity when another disk had that slot before.
  private static func freeStem(for disk: PassOffer.Disk, among disks: [CatalogDisk]) -> String {
    let plain = disk.slot.fileStem
    if !disks.contains(where: { $0.fileStem == plain }) { return plain }
    return "\(plain)-\(HexText.encode(disk.disk.bytes))"
  }
}
