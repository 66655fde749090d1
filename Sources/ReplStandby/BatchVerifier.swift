import ReplDigest
import ReplIO
import ReplModel

/// Looks at batches before anything of them is written: bounds, inflating, digests. One user at a time.
final class BatchVerifier {
  /// What a batch holds once it is believed; valid until the next call.
  struct Verified {
    /// The bytes of the data runs, one after the other.
    let data: UnsafeRawBufferPointer
    /// Those of the data runs' pages, in order.
    let digests: UnsafeBufferPointer<PageDigest>
  }

  private let disks: [PassOffer.Disk]
  private let digesters: [PageDigester]
  private let opener = BatchOpener()

  /// Throws `.keyMissing` when a disk's digest key is not in the store.
  init(_ disks: [PassOffer.Disk], in store: StandbyStore) throws(StandbyError) {
    self.disks = disks
    digesters = try disks.map { (disk) throws(StandbyError) in
      guard let key = try store.key(disk.keyID) else { throw .keyMissing(key: disk.keyID) }
      return try digesting { () throws(DigestError) in try PageDigester(key: key) }
    }
  }

  /// Throws `.unknownDisk`, and `.damagedBatch` for what may be sent again.
  func verify(_ batch: ReceivedBatch) throws(StandbyError) -> Verified {
    guard disks.indices.contains(batch.diskIndex) else { throw .unknownDisk(index: batch.diskIndex) }
    let disk = disks[batch.diskIndex]
    try checkBounds(batch, disk)
    let data: UnsafeRawBufferPointer
    do {
      data = try opener.inflate(batch.codec, batch.payload, rawLength: batch.rawLength)
    } catch {
      throw .damagedBatch(disk: disk.disk, detail: "\(error)")
    }
    let digester = digesters[batch.diskIndex]
    let digests = try digesting { () throws(DigestError) in
      try opener.digests(of: data, runs: batch.runs, grid: disk.grid, digester)
    }
    let found = try digesting { () throws(DigestError) in try digester.digest(of: digests) }
    guard found == batch.digest else {
      throw .damagedBatch(disk: disk.disk, detail: "its pages do not have the digest that was announced")
    }
    return Verified(data: data, digests: digests)
  }

  private func checkBounds(_ batch: ReceivedBatch, _ disk: PassOffer.Disk) throws(StandbyError) {
    func refuse(_ detail: String) -> StandbyError { .damagedBatch(disk: disk.disk, detail: detail) }
    guard !batch.runs.isEmpty, batch.runs.count <= Limits.runsPerBatch else {
      throw refuse("\(batch.runs.count) runs, allowed are 1 to \(Limits.runsPerBatch)")
    }
    guard (0...Limits.batchBytes).contains(batch.rawLength) else {
      throw refuse("\(batch.rawLength) bytes of pages, at most \(Limits.batchBytes) are allowed")
    }
    var position: Int64 = 0
    for run in batch.runs {
      guard run.firstPage >= position, run.firstPage < disk.grid.pageCount,
        run.pageCount <= disk.grid.pageCount - run.firstPage
      else {
        throw refuse(
          "pages \(run.firstPage) and \(run.pageCount - 1) more are out of order or outside the disk")
      }
      position = run.firstPage + run.pageCount
    }
    guard disk.grid.dataBytes(of: batch.runs) == Int64(batch.rawLength) else {
      throw refuse("\(batch.rawLength) bytes do not fit its runs")
    }
    // Nobody packs to make it larger; the journal's records are sized for this.
    guard batch.payload.count <= batch.rawLength else {
      throw refuse("\(batch.payload.count) bytes were packed from \(batch.rawLength)")
    }
  }
}
