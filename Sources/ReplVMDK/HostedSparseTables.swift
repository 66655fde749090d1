import ReplIO
import ReplModel

/// The grain tables of a hosted sparse extent, with or without a redundant copy.
///
/// A copy that cannot be right, or is all zeros while the other is not, is left aside with a warning: readers
/// that look at one copy only turn a lost directory into a disk of zeros without a word. Two copies that both
/// can be right and differ are refused, and so are two that differ in a single entry: storage loses sectors,
/// so that is no lost copy, and which of the two is older nobody knows.
final class HostedSparseTables: GrainTableSource {
  let shape: GrainShape
  private let header: HostedSparseHeader
  private let file: any StorageFile
  private let path: String
  private let check: GrainTableCheck
  private let primary: GrainDirectory
  private let copy: GrainDirectory?
  /// Nil for packed grains, which carry their number.
  private let claims: GrainTableClaims?
  private let context: ExtentContext

  /// - Parameter directory: the primary one.
  init(
    header: HostedSparseHeader, directory: SectorRange, file: any StorageFile, path: String,
    fileSizeBytes: Int64, _ context: ExtentContext
  ) {
    shape = header.shape
    self.header = header
    self.file = file
    self.path = path
    self.context = context
    // Packed grains carry their number: wherever they lie, they are found out.
    check = GrainTableCheck(
      shape: shape, fileSizeBytes: fileSizeBytes, path: file.path,
      metadataSectors: header.isCompressed ? 0 : header.metadataSectors, ownRanges: header.ownRanges,
      packedBytes: header.isCompressed ? Int64(StreamOptimizedGrain.markerBytes) : nil)
    claims =
      header.isCompressed ? nil : GrainTableClaims(shape: shape, fileSizeBytes: fileSizeBytes, context)
    func open(_ range: SectorRange) -> GrainDirectory {
      let check = GrainDirectoryCheck(
        fileSizeBytes: fileSizeBytes, path: file.path, tableBytes: header.entriesPerTable * 4,
        ownRanges: header.ownRanges, directoryOffsetBytes: range.offsetBytes, entryBytes: 4)
      let hasZeros = header.hasZeroedGrains
      return GrainDirectory(
        file, at: range.offsetBytes, entryBytes: 4, tableCount: header.tableCount, context
      ) { raw, first throws(IOError) in
        let block = raw.map { $0 == 1 && hasZeros ? GrainEntry.zero : Int64($0) }
        try check.check(block, firstTable: first)
        return block
      }
    }
    primary = open(directory)
    copy = header.redundantDirectory.map(open)
  }

  func nextTable(atOrAfter index: Int64) throws(IOError) -> Int64? {
    guard let copy else { return try primary.next(atOrAfter: index) }
    let found = [next(primary, index), next(copy, index)].compactMap { $0 }
    return found.min()
  }

  /// A directory that cannot be read skips nothing: `loadTable` decides what that means.
  private func next(_ directory: GrainDirectory, _ index: Int64) -> Int64? {
    do { return try directory.next(atOrAfter: index) } catch { return index }
  }

  func loadTable(_ index: Int64) throws(IOError) -> [Int64] {
    let table = try chosen(index)
    if let place = table.place,
      let conflict = claims?.claim(table: index, at: place, entries: table.entries)
    {
      throw check.claimed(conflict, table.entries, table: place, index, entryBytes: 4)
    }
    return table.entries
  }

  // MARK: Two copies

  private struct Table {
    /// Nil when the directory says that there is no table.
    let place: SectorRange?
    let entries: [Int64]
    var isEmpty: Bool { entries.allSatisfy { $0 == GrainEntry.absent } }
  }

  /// A table as it stands in the file.
  private struct Copy {
    /// Nil when the directory says that there is no table.
    let place: SectorRange?
    /// Empty when the whole table is absent.
    let entries: [UInt64]
  }

  private func chosen(_ index: Int64) throws(IOError) -> Table {
    guard let copy else { return try checked(try read(index, primary), index, other: nil) }
    let (first, second) = (found(index, primary), found(index, copy))
    try checkSingleDifference(index, first, second)
    switch (judged(first, index, besides: second), judged(second, index, besides: first)) {
    case (.success(let table), .success(let other)):
      return try agreed(index, table, other)
    case (.success(let table), .failure(let error)):
      return try trusted(table, "the redundant copy of the grain tables", error)
    case (.failure(let error), .success(let other)):
      return try trusted(other, "the grain directory or its tables", error)
    case (.failure(let error), .failure): throw error
    }
  }

  /// Two tables that are the same but for one entry are no loss, whatever that entry is.
  private func checkSingleDifference(
    _ index: Int64, _ first: Result<Copy, IOError>, _ second: Result<Copy, IOError>
  ) throws(IOError) {
    guard case .success(let one) = first, case .success(let other) = second, one.place != nil,
      other.place != nil
    else { return }
    let positions = zip(one.entries, other.entries).enumerated()
    guard positions.count(where: { $0.element.0 != $0.element.1 }) == 1 else { return }
    throw copiesDiffer(index, one.entries.map { Int64($0) }, other.entries.map { Int64($0) })
  }

  private func agreed(_ index: Int64, _ table: Table, _ other: Table) throws(IOError) -> Table {
    switch (table.isEmpty, other.isEmpty) {
    case (true, true): return table
    case (true, false):
      warn("the grain directory or its tables", "table \(index) is all zeros in one copy, not in the other")
      return other
    case (false, true):
      warn(
        "the redundant copy of the grain tables", "table \(index) is all zeros in one copy, not in the other")
      return table
    case (false, false):
      guard table.entries == other.entries else { throw copiesDiffer(index, table.entries, other.entries) }
      return table
    }
  }

  /// A copy that says "nothing here" because its directory is gone is no proof against a damaged one.
  private func trusted(_ table: Table, _ what: String, _ error: IOError) throws(IOError) -> Table {
    guard table.place != nil || !table.isEmpty else { throw error }
    warn(what, "\(error)")
    return table
  }

  private func warn(_ what: String, _ why: String) {
    context.warn(
      "\(SafeText.printable(path)): \(what) are damaged, the other copy is used (repair the disk:"
        + " vmware-vdiskmanager -R): \(why)", onceFor: "\(path): \(what)")
  }

  private func found(_ index: Int64, _ directory: GrainDirectory) -> Result<Copy, IOError> {
    do throws(IOError) { return .success(try read(index, directory)) } catch { return .failure(error) }
  }

  private func judged(
    _ copy: Result<Copy, IOError>, _ index: Int64, besides other: Result<Copy, IOError>
  ) -> Result<Table, IOError> {
    do throws(IOError) {
      // Where the other copy is lost, nobody knows where its tables lay.
      let otherPlace: SectorRange? = if case .success(let found) = other { found.place } else { nil }
      return .success(try checked(try copy.get(), index, other: otherPlace))
    } catch {
      return .failure(error)
    }
  }

  private func read(_ index: Int64, _ directory: GrainDirectory) throws(IOError) -> Copy {
    let count = shape.entryCount(ofTable: index)
    let sector = try directory.entry(index)
    guard sector > 0,
      let place = SectorRange(start: UInt64(sector), byteCount: UInt64(shape.entriesPerTable) * 4)
    else {
      let isZero = sector == GrainEntry.zero
      return Copy(place: nil, entries: isZero ? [UInt64](repeating: 1, count: count) : [])
    }
    return Copy(place: place, entries: try file.entries(at: place.offsetBytes, count: count, width: 4))
  }

  /// - Parameter other: where the table's other copy lies.
  private func checked(_ copy: Copy, _ index: Int64, other: SectorRange?) throws(IOError) -> Table {
    guard let place = copy.place else {
      return Table(place: nil, entries: copy.entries.map { _ in GrainEntry.zero })
    }
    let entries = try decode(copy.entries, place, index)
    try check.check(entries, table: place, index, entryBytes: 4, other: other)
    return Table(place: place, entries: entries)
  }

  private func decode(_ raw: [UInt64], _ table: SectorRange, _ index: Int64) throws(IOError) -> [Int64] {
    var entries = [Int64](repeating: 0, count: raw.count)
    for (position, value) in raw.enumerated() {
      entries[position] = value == 1 ? GrainEntry.zero : Int64(value)
      guard value != 1 || header.hasZeroedGrains else {
        let fault = GrainTableFault(
          sector: 1, what: "is marked as zeros, which the header does not allow")
        throw check.damaged(
          fault, table, position, 4, grain: index * shape.entriesPerTable + Int64(position))
      }
    }
    return entries
  }

  private func copiesDiffer(_ index: Int64, _ table: [Int64], _ other: [Int64]) -> IOError {
    let position = zip(table, other).enumerated().first { $0.element.0 != $0.element.1 }?.offset ?? 0
    return IOError(
      .damaged, "read", path: file.path,
      detail:
        "grain \(index * shape.entriesPerTable + Int64(position)): the grain tables and their redundant copy"
        + " differ (sectors \(table[position]) and \(other[position])): the image is damaged or still being"
        + " written; if it is not in use, repair it (vmware-vdiskmanager -R)")
  }
}
