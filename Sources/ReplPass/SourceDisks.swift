import ReplDigest
import ReplIO
import ReplModel
import ReplProtocol
import ReplSource
import Synchronization

/// The disks of a view that one session is about, how far their scan is, and their maps, which are kept from
/// one connection to the next.
final class SourceDisks: Sendable {
  let disks: [ViewDisk]
  let grids: [PageGrid]
  let tracker: ResumeTracker
  /// See `holeAudits`.
  let audits = Mutex<[HoleAudit]>([])
  private let kept = Mutex<(maps: [SourceDiskMaps], receiver: ReceiverID)?>(nil)

  /// `first` is the leaf to begin with, counted across all disks.
  init(_ disks: [ViewDisk], pageSizeBytes: Int, startingAt first: Int64 = 0) {
    self.disks = disks
    grids = disks.map { disk in
      guard let grid = PageGrid(sizeBytes: disk.image.sizeBytes, pageSizeBytes: pageSizeBytes) else {
        preconditionFailure("the view was taken with sizes in range")
      }
      return grid
    }
    tracker = ResumeTracker(leafCount: PageScan.leafCount(of: grids), startingAt: first)
  }

  var ids: [DiskID] { disks.map(\.id) }
  var totalBytes: Int64 { disks.reduce(0) { $0 + $1.image.sizeBytes } }

  /// Bytes of the disks below the leaf with this number.
  func bytes(below leaf: Int64) -> Int64 {
    var (rest, bytes) = (leaf, Int64(0))
    for grid in grids {
      let leaves = min(rest, grid.leafCount)
      bytes += min(leaves * Int64(grid.leafSizeBytes), grid.sizeBytes)
      rest -= leaves
    }
    return bytes
  }

  /// The number of a page's leaf, counted across all disks as the tracker does.
  func leafNumber(disk: Int, page: Int64) -> Int64 {
    grids[..<disk].reduce(0) { $0 + $1.leafCount } + page / Int64(PageGrid.pagesPerLeaf)
  }

  func offered(_ key: DigestKey) -> [Offer.Disk] {
    zip(disks, grids).map { disk, grid in
      Offer.Disk(disk: disk.id, slot: disk.slot, grid: grid, keyID: key.id, facts: disk.facts)
    }
  }

  /// On a second connection the tentative deltas go on; else, and when the pass is committed already, they
  /// begin anew.
  func openMaps(
    _ accept: Accept, key: DigestKey, vm: VMID, in state: SourceState, isCommitted: Bool = false
  ) throws(PassError) -> [SourceDiskMaps] {
    if let (maps, receiver) = kept.withLock({ $0 }) {
      // What was scanned was compared with another receiver: going on would leave a hole.
      let isSame = receiver == accept.receiver
      let isUsable = isCommitted || maps.allSatisfy { $0.base.format.keyID == key.id }
      guard isSame, isUsable else { throw .receiverChanged(from: receiver, to: accept.receiver) }
      if !isCommitted { return maps }
    }
    let directory = try state.mapDirectory(receiver: accept.receiver, vm: vm)
    var maps: [SourceDiskMaps] = []
    for (disk, grid) in zip(disks, grids) {
      let format = DigestMapFormat(disk: disk.id, grid: grid, keyID: key.id)
      maps.append(try SourceDiskMaps.open(format, in: directory, newest: accept.newest))
    }
    kept.withLock { $0 = (maps, accept.receiver) }
    return maps
  }

  /// What the scan compares with: the trees of the receiver's maps are compared with ours, level by level.
  func align(
    _ maps: [SourceDiskMaps], _ accept: Accept, _ conversation: Conversation, hints: ViewHints? = nil
  ) throws(PassError) -> [ScanDisk] {
    let hinted = self.hints(hints, maps, accept)
    let audits = holeAudits(hints, accept)
    var aligned: [ScanDisk] = []
    for (index, disk) in maps.enumerated() {
      let alignment = MapAlignment(conversation: conversation, diskIndex: index, maps: disk)
      let held = try alignment.heldView(remoteRoot: accept.disks[index].effectiveRoot)
      aligned.append(
        ScanDisk(
          image: disks[index].image, grid: grids[index], base: disk.base, held: held, delta: disk.delta,
          hint: hinted[index], holes: audits[index]))
    }
    return aligned
  }
}
