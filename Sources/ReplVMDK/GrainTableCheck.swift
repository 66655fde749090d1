import ReplIO

/// Checks where the entries of one grain table say that grains lie.
struct GrainTableCheck {
  let shape: GrainShape
  let fileSizeBytes: Int64
  /// For messages.
  let path: String
  /// Sectors before this one hold metadata; 0 when that is not known.
  let metadataSectors: Int64
  /// Header, descriptor, directories: no grain may lie there.
  let ownRanges: [SectorRange]
  /// Nil: grains lie there as they are. Otherwise they are packed, and no shorter than this.
  var packedBytes: Int64?

  /// Throws when a place cannot be right.
  /// - Parameter other: the table's redundant copy.
  func check(
    _ entries: [Int64], table: SectorRange, _ index: Int64, entryBytes: Int64, other: SectorRange? = nil
  ) throws(IOError) {
    let first = index * shape.entriesPerTable
    for (position, entry) in entries.enumerated() where entry > 0 {
      do throws(GrainTableFault) {
        try check(entry, grain: first + Int64(position), tables: [table, other])
      } catch {
        throw damaged(error, table, position, entryBytes, grain: first + Int64(position))
      }
    }
    // Packed grains carry their number.
    guard packedBytes == nil, let pair = shared(entries) else { return }
    let fault = GrainTableFault(
      sector: entries[pair.right], what: "shares its place with grain \(first + Int64(pair.left))")
    throw damaged(fault, table, pair.right, entryBytes, grain: first + Int64(pair.right))
  }

  /// The error for a table whose places somebody else has claimed.
  func claimed(
    _ conflict: GrainTableClaims.Conflict, _ entries: [Int64], table: SectorRange, _ index: Int64,
    entryBytes: Int64
  ) -> IOError {
    switch conflict {
    case .entry(let position):
      let fault = GrainTableFault(
        sector: entries[position], what: "shares its place with another grain or table")
      return damaged(
        fault, table, position, entryBytes, grain: index * shape.entriesPerTable + Int64(position))
    case .table:
      return IOError(
        .damaged, "read", path: path, offsetBytes: table.offsetBytes,
        detail:
          "sector \(table.start): grain table \(index) shares its place with a grain: the image is damaged or"
          + " still being written")
    }
  }

  private func check(
    _ sector: Int64, grain: Int64, tables: [SectorRange?]
  ) throws(GrainTableFault) {
    // Only what belongs to the disk is read of the last grain.
    let wanted = packedBytes ?? shape.sectors(ofGrain: grain) * Limits.sectorBytes
    guard let place = SectorRange(start: UInt64(sector), byteCount: UInt64(wanted)),
      place.offsetBytes <= fileSizeBytes, wanted <= fileSizeBytes - place.offsetBytes
    else {
      throw GrainTableFault(
        sector: sector, what: "lies outside the extent (ends at \(fileSizeBytes / Limits.sectorBytes))")
    }
    guard sector >= metadataSectors else {
      throw GrainTableFault(
        sector: sector, what: "lies inside the metadata (ends at \(metadataSectors))")
    }
    guard !tables.contains(where: { $0.map(place.overlaps) ?? false }),
      !ownRanges.contains(where: place.overlaps)
    else {
      throw GrainTableFault(sector: sector, what: "lies on top of the image's own tables")
    }
  }

  /// Two grains of one table in the same place.
  private func shared(_ entries: [Int64]) -> (left: Int, right: Int)? {
    var previous = -shape.grainSectors
    var ascending = true
    for entry in entries where entry > 0 {
      ascending = ascending && entry - previous >= shape.grainSectors
      previous = entry
    }
    // Nearly every image is written in order: nothing to sort.
    if ascending { return nil }
    let sorted = entries.enumerated().filter { $0.element > 0 }.sorted {
      ($0.element, $0.offset) < ($1.element, $1.offset)
    }
    return zip(sorted, sorted.dropFirst())
      .first { $1.element - $0.element < shape.grainSectors }.map { ($0.offset, $1.offset) }
  }

  func damaged(
    _ fault: GrainTableFault, _ table: SectorRange, _ position: Int, _ entryBytes: Int64, grain: Int64
  ) -> IOError {
    IOError(
      .damaged, "read", path: path, offsetBytes: table.offsetBytes + Int64(position) * entryBytes,
      detail:
        "sector \(fault.sector): grain \(grain) \(fault.what): the image is damaged or still being written")
  }
}

/// What is wrong with an entry.
struct GrainTableFault: Error {
  let sector: Int64
  let what: String
}

/// Checks where a block of a grain directory says that tables lie.
struct GrainDirectoryCheck {
  let fileSizeBytes: Int64
  /// For messages.
  let path: String
  let tableBytes: Int64
  /// Header, descriptor, directories: no table may lie there.
  let ownRanges: [SectorRange]
  let directoryOffsetBytes: Int64
  let entryBytes: Int64

  /// Throws when a place cannot be right.
  func check(_ block: [Int64], firstTable: Int64) throws(IOError) {
    for (position, entry) in block.enumerated() where entry > 0 {
      guard let place = SectorRange(start: UInt64(entry), byteCount: UInt64(tableBytes)),
        place.offsetBytes <= fileSizeBytes, tableBytes <= fileSizeBytes - place.offsetBytes
      else {
        throw damaged(
          entry, firstTable + Int64(position),
          "lies outside the extent (ends at \(fileSizeBytes / Limits.sectorBytes))")
      }
      guard !ownRanges.contains(where: place.overlaps) else {
        throw damaged(
          entry, firstTable + Int64(position), "lies on top of the image's header or directory")
      }
    }
    let sorted = block.enumerated().filter { $0.element > 0 }.sorted {
      ($0.element, $0.offset) < ($1.element, $1.offset)
    }
    for (left, right) in zip(sorted, sorted.dropFirst()) where right.element == left.element {
      throw damaged(
        right.element, firstTable + Int64(right.offset),
        "shares its place with table \(firstTable + Int64(left.offset))")
    }
  }

  func damaged(_ sector: Int64, _ table: Int64, _ what: String) -> IOError {
    IOError(
      .damaged, "read", path: path, offsetBytes: directoryOffsetBytes + table * entryBytes,
      detail: "sector \(sector): grain table \(table) \(what): the image is damaged or still being written")
  }
}
