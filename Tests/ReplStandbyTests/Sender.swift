import ReplCompression
import ReplDigest
import ReplIO
import ReplModel
import ReplTestKit

@testable import ReplStandby

/// The source's half of a pass, as small as can be: compares an image with what the receiver holds and sends
/// the rest.
final class Sender: @unchecked Sendable {
  // SAFETY: immutable after init.
  let image: Image
  let key: DigestKey
  /// As large as the image's disks are.
  let grids: [PageGrid]
  let digests: [[PageDigest]]
  let roots: [Root]

  init(_ image: Image, key: DigestKey = Bench.key) throws {
    self.image = image
    self.key = key
    grids = image.disks.map { PageGrid(sizeBytes: Int64($0.count), pageSizeBytes: 4096)! }
    let digester = try PageDigester(key: key)
    var (digests, roots): ([[PageDigest]], [Root]) = ([], [])
    for (index, disk) in image.disks.enumerated() {
      let grid = grids[index]
      var pages = [PageDigest](repeating: .zero, count: Int(grid.leafCount) * PageGrid.pagesPerLeaf)
      try disk.withUnsafeBytes { bytes in
        try pages.withUnsafeMutableBufferPointer {
          try digester.digest(pages: bytes, pageSizeBytes: 4096, into: $0)
        }
      }
      digests.append(pages)
      roots.append(try Self.root(of: pages, index: index, grid: grid, key: key))
    }
    self.digests = digests
    self.roots = roots
  }

  private static func root(
    of pages: [PageDigest], index: Int, grid: PageGrid, key: DigestKey
  ) throws -> Root {
    let scratch = SimulatedMachine(disks: ["scratch"])
    let format = DigestMapFormat(disk: Bench.diskIDs[index], grid: grid, keyID: key.id)
    let map = try DigestMap.create("map", in: scratch.disk("scratch"), format: format)
    for leaf in 0..<Int(grid.leafCount) {
      try pages.withUnsafeBufferPointer {
        try map.writeLeaf(Int64(leaf), UnsafeBufferPointer(rebasing: $0[(leaf * 256)..<((leaf + 1) * 256)]))
      }
    }
    return try map.finish(at: PointReference(epoch: Epoch(1), number: 1), pass: Bench.pass(0))
  }

  func offer(
    _ number: Int, owner: String = Bench.peer, epoch: Epoch? = nil, disks: [Int] = [0, 1],
    slots: [Int] = [0, 1], label: PointLabel = .crashConsistent
  ) -> PassOffer {
    PassOffer(
      vm: Bench.vm, displayName: "web 01", owner: owner, pass: Bench.pass(number),
      frozenAt: WallTime(millisecondsSince1970: 1_800_000_000_000 + Int64(number)), label: label,
      epoch: epoch,
      disks: disks.map { index in
        PassOffer.Disk(
          disk: Bench.diskIDs[index], slot: DiskSlot("scsi0:\(slots[index])")!, grid: grids[index],
          keyID: key.id,
          facts: DiskFacts(entries: [.init(key: "adapterType", value: "lsilogic")]))
      },
      vmxHash: SHA256Hasher.hash(image.vmx), nvramHash: SHA256Hasher.hash(image.nvram))
  }

  /// Runs of the pages that differ from what the receiver holds, cut into batches of at most `pagesPerBatch`
  /// pages.
  func batches(for index: Int, _ view: any DigestView, pagesPerBatch: Int) throws -> [[PageRun]] {
    var batches: [[PageRun]] = []
    var runs: [PageRun] = []
    let held = UnsafeMutableBufferPointer<PageDigest>.allocate(capacity: 256)
    defer { held.deallocate() }
    for page in 0..<grids[index].pageCount {
      if page % 256 == 0 { try view.readLeaf(page / 256, into: held) }
      let digest = digests[index][Int(page)]
      guard digest != held[Int(page % 256)] else { continue }
      let kind: PageRun.Kind = digest.isZero ? .zero : .data
      if runs.reduce(0, { $0 + Int($1.pageCount) }) >= pagesPerBatch {
        batches.append(runs)
        runs = []
      }
      if let last = runs.last, last.kind == kind, last.pages.upperBound == page {
        runs[runs.count - 1] = PageRun(kind: kind, firstPage: last.firstPage, pageCount: last.pageCount + 1)
      } else {
        runs.append(PageRun(kind: kind, firstPage: page, pageCount: 1))
      }
    }
    if !runs.isEmpty { batches.append(runs) }
    return batches
  }

  /// Gives one batch to `body`; the codec changes from batch to batch.
  func withBatch(
    _ index: Int, _ runs: [PageRun], codec wanted: Codec, _ body: (ReceivedBatch) throws -> Void
  ) throws {
    let grid = grids[index]
    var (raw, pages): ([UInt8], [PageDigest]) = ([], [])
    for run in runs where run.kind == .data {
      let range = grid.bytes(of: run.pages)
      raw += image.disks[index][Int(range.offset)..<Int(range.end)]
      pages += digests[index][Int(run.firstPage)..<Int(run.pages.upperBound)]
    }
    let digester = try PageDigester(key: key)
    let digest = try pages.withUnsafeBufferPointer { try digester.digest(of: $0) }
    var (codec, payload) = (wanted, [UInt8](repeating: 0, count: raw.count))
    let packed = try raw.withUnsafeBytes { source in
      try payload.withUnsafeMutableBytes { try Compressor(codec: wanted).compress(source, into: $0) }
    }
    if let packed, !raw.isEmpty {
      payload.removeLast(raw.count - packed)
    } else {
      (codec, payload) = (.raw, raw)
    }
    try payload.withUnsafeBytes { bytes in
      try body(
        ReceivedBatch(
          diskIndex: index, codec: codec, runs: runs, rawLength: raw.count, digest: digest, payload: bytes))
    }
  }

  /// What was sent, in pages.
  struct Sent: Equatable {
    var data: [Int64] = [0, 0]
    var zero: [Int64] = [0, 0]
  }

  /// Sends all that differs; syncs after every other batch, and at the end. `limit` ends it after so many
  /// batches.
  @discardableResult
  func send(to pass: IncomingPass, pagesPerBatch: Int = 4, limit: Int = .max) throws -> Sent {
    var (sent, count) = (Sent(), 0)
    for file in pass.filesWanted { try pass.append(file, file == .vmx ? image.vmx : image.nvram) }
    for index in image.disks.indices {
      for runs in try batches(for: index, pass.digestView(disk: index), pagesPerBatch: pagesPerBatch) {
        guard count < limit else { return sent }
        try withBatch(index, runs, codec: Codec.allCases[count % 3]) { try pass.append($0) }
        sent.data[index] += runs.dataPageCount
        sent.zero[index] += runs.zeroPageCount
        count += 1
        if count % 2 == 0 { try pass.sync() }
      }
    }
    try pass.sync()
    return sent
  }

  func claims(_ sent: Sent) -> CommitClaims {
    CommitClaims(
      disks: roots.indices.map {
        CommitClaims.Disk(root: roots[$0], dataPages: sent.data[$0], zeroPages: sent.zero[$0])
      })
  }

  /// A whole pass. `committed` is called when the commit was acknowledged, before settling.
  @discardableResult
  func replicate(
    _ number: Int, to standby: Standby, pagesPerBatch: Int = 4, committed: (RecoveryPoint) -> Void = { _ in }
  ) throws -> Sent {
    let pass = try standby.beginPass(offer(number))
    let sent = try send(to: pass, pagesPerBatch: pagesPerBatch)
    committed(try pass.commit(claims(sent)))
    try pass.settle()
    _ = try standby.applyRetention()
    return sent
  }
}
