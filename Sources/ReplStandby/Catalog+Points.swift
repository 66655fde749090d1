import ReplModel

extension Catalog {
  /// The point that the disks hold.
  var heldPoint: KeptPoint? { held.flatMap { kept($0) } ?? kept.last }

  /// The catalog's disks as a point has them: its slots, sizes, keys and facts.
  func disks(of kept: KeptPoint) -> [CatalogDisk] {
    kept.point.disks.enumerated().compactMap { index, member in
      guard var disk = disk(member.disk) else { return nil }
      (disk.slot, disk.grid, disk.keyID) = (member.slot, member.grid, member.keyID)
      if kept.facts.indices.contains(index) { disk.facts = kept.facts[index] }
      return disk
    }
  }

  /// Before the disks become `next`: points keep facts of their own from the moment on in which the disks get
  /// others. Until then nothing is written twice.
  mutating func keepFacts(before next: [CatalogDisk]) {
    let changed = next.contains { disk in self.disk(disk.disk).map { $0.facts != disk.facts } ?? false }
    guard changed else { return }
    kept = kept.map { kept in
      guard kept.facts.isEmpty else { return kept }
      let facts = kept.point.disks.map { disk($0.disk)?.facts ?? DiskFacts(entries: []) }
      return kept.replacing(facts: facts)
    }
  }
}

extension KeptPoint {
  func replacing(point: RecoveryPoint) -> KeptPoint {
    KeptPoint(
      point: point, vmxHash: vmxHash, nvramHash: nvramHash, facts: facts, verifiedAt: verifiedAt,
      damage: damage)
  }

  fileprivate func replacing(facts: [DiskFacts]) -> KeptPoint {
    KeptPoint(
      point: point, vmxHash: vmxHash, nvramHash: nvramHash, facts: facts, verifiedAt: verifiedAt,
      damage: damage)
  }
}
