import ReplIO
import ReplModel
import Synchronization

/// The grain tables of a hosted sparse extent: read when they are needed, checked once, kept in bounded
/// memory.
final class GrainTables: Sendable {
  /// Where each grain of one table is: the first sector in the file, 0 for a grain of zeros. Empty: all are
  /// zeros.
  typealias Table = [UInt32]

  private struct BlockKey: Hashable {
    let redundant: Bool
    let block: Int64
  }

  let header: HostedSparseHeader
  private let file: PosixFile
  private let fileSizeBytes: Int64
  private let blocks = Mutex(BoundedCache<BlockKey, [UInt32]>(capacity: Limits.cachedDirectoryBlocks))
  private let tables = Mutex(BoundedCache<Int64, Table>(capacity: Limits.cachedTables))

  init(header: HostedSparseHeader, file: PosixFile, fileSizeBytes: Int64) {
    self.header = header
    self.file = file
    self.fileSizeBytes = fileSizeBytes
  }

  /// The table that holds grains `index * entriesPerTable` and following.
  func table(_ index: Int64) throws(IOError) -> Table {
    if let known = tables.withLock({ $0[index] }) { return known }
    let primary = try load(index, redundant: false)
    if header.redundantDirectory != nil {
      // Readers that look at one copy only turn a lost directory into a disk of zeros without a word.
      let copy = try load(index, redundant: true)
      guard copy == primary else { throw copiesDiffer(index, primary, copy) }
    }
    tables.withLock { $0.insert(primary, for: index) }
    return primary
  }

  private func load(_ index: Int64, redundant: Bool) throws(IOError) -> Table {
    let sector = try directoryEntry(index, redundant: redundant)
    guard sector != 0 else { return [] }
    let count = grainCount(ofTable: index)
    var table = try readEntries(at: Int64(sector) * Limits.sectorBytes, count: count)
    try GrainTableCheck(
      header: header, fileSizeBytes: fileSizeBytes, path: file.path, tableSector: Int64(sector),
      firstGrain: index * header.entriesPerTable
    ).check(&table)
    return table.allSatisfy({ $0 == 0 }) ? [] : table
  }

  /// Entries past the end of the disk mean nothing and are not looked at.
  private func grainCount(ofTable index: Int64) -> Int {
    Int(min(header.entriesPerTable, header.grainCount - index * header.entriesPerTable))
  }

  // MARK: Directory

  private func directoryEntry(_ index: Int64, redundant: Bool) throws(IOError) -> UInt32 {
    let perBlock = Int64(Limits.directoryBlockEntries)
    let key = BlockKey(redundant: redundant, block: index / perBlock)
    if let known = blocks.withLock({ $0[key] }) { return known[Int(index % perBlock)] }
    let directory = redundant ? header.redundantDirectory ?? header.directory : header.directory
    let first = key.block * perBlock
    let count = Int(min(perBlock, header.tableCount - first))
    var block = try readEntries(at: directory.offsetBytes + first * 4, count: count)
    try GrainDirectoryCheck(
      header: header, fileSizeBytes: fileSizeBytes, path: file.path, directory: directory, firstTable: first
    ).check(&block)
    blocks.withLock { $0.insert(block, for: key) }
    return block[Int(index % perBlock)]
  }

  private func readEntries(at offset: Int64, count: Int) throws(IOError) -> [UInt32] {
    var entries = [UInt32](repeating: 0, count: count)
    var failure: IOError?
    entries.withUnsafeMutableBytes { buffer in
      do throws(IOError) { try file.read(into: buffer, at: offset) } catch { failure = error }
    }
    if let failure { throw failure }
    for index in entries.indices { entries[index] = UInt32(littleEndian: entries[index]) }
    return entries
  }

  private func copiesDiffer(_ index: Int64, _ primary: Table, _ copy: Table) -> IOError {
    let position = (0..<grainCount(ofTable: index)).first { position in
      (primary.isEmpty ? 0 : primary[position]) != (copy.isEmpty ? 0 : copy[position])
    }
    let grain = index * header.entriesPerTable + Int64(position ?? 0)
    return IOError(
      .damaged, "read", path: file.path,
      detail:
        "grain \(grain): the grain tables and their redundant copy differ: the image is damaged or still"
        + " being"
        + " written; if it is not in use, repair it (vmware-vdiskmanager -R)")
  }
}
