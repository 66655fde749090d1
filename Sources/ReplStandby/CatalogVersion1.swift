import ReplModel

/// The catalog as format 1 had it: the hashes of the source files were those of the newest point only. Read,
/// never written.
struct CatalogVersion1: Codable {
  let standby: StandbyID
  let slug: String
  let vm: VMID
  let displayName: String
  let owner: String
  let receiver: ReceiverID
  let createdAt: WallTime
  let epoch: Epoch
  let fence: Catalog.Fence?
  let divergence: Catalog.Divergence?
  let disks: [CatalogDisk]
  let points: [RecoveryPoint]
  let vmxHash: Hash256?
  let nvramHash: Hash256?

  /// Nil when the bytes are not such a catalog.
  static func decode(_ bytes: [UInt8]) -> Catalog? {
    let read: CatalogVersion1? = RecordJSON.decode(bytes)
    return read.map(\.current)
  }

  /// The files of older points were not kept: those points have none.
  private var current: Catalog {
    let kept = points.enumerated().map { index, point in
      let isNewest = index == points.count - 1
      return KeptPoint(
        point: point, vmxHash: isNewest ? vmxHash : nil, nvramHash: isNewest ? nvramHash : nil, facts: [])
    }
    return Catalog(
      standby: standby, slug: slug, vm: vm, displayName: displayName, owner: owner, receiver: receiver,
      createdAt: createdAt, epoch: epoch, fence: fence, divergence: divergence, suspicion: nil, disks: disks,
      kept: kept, held: nil)
  }
}
