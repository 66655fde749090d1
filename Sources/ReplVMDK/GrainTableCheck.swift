import ReplIO
import ReplModel

/// Checks the entries of one grain table.
struct GrainTableCheck {
  let header: HostedSparseHeader
  let fileSizeBytes: Int64
  let path: String
  let tableSector: Int64
  let firstGrain: Int64

  /// Throws when an entry cannot be right; turns the marker for a grain of zeros into 0.
  func check(_ table: inout [UInt32]) throws(IOError) {
    for (position, entry) in table.enumerated() where entry != 0 {
      if entry == 1 {
        guard header.hasZeroedGrains else {
          throw damaged(1, position, "is marked as zeros, which the header does not allow")
        }
        table[position] = 0
        continue
      }
      try check(Int64(entry), position)
    }
    try checkShared(table)
  }

  private func check(_ sector: Int64, _ position: Int) throws(IOError) {
    let grain = firstGrain + Int64(position)
    // The last grain of a disk need not be there in full: only what belongs to the disk is read.
    let sectors = min(header.grainSectors, header.capacitySectors - grain * header.grainSectors)
    guard (sector + sectors) * Limits.sectorBytes <= fileSizeBytes else {
      throw damaged(
        sector, position, "lies outside the extent (ends at \(fileSizeBytes / Limits.sectorBytes))")
    }
    guard sector >= header.metadataSectors else {
      throw damaged(sector, position, "lies inside the metadata (ends at \(header.metadataSectors))")
    }
    guard let place = SectorRange(start: UInt64(sector), count: UInt64(sectors)),
      !header.ownRanges.contains(where: place.overlaps),
      let own = SectorRange(start: UInt64(tableSector), byteCount: UInt64(header.entriesPerTable) * 4),
      !own.overlaps(place)
    else {
      throw damaged(sector, position, "lies on top of the image's own tables")
    }
  }

  /// No two grains of one table in the same place. Across tables this would need memory for every grain of
  /// the image.
  private func checkShared(_ table: [UInt32]) throws(IOError) {
    var previous: Int64 = -header.grainSectors
    var ascending = true
    for entry in table where entry != 0 {
      ascending = ascending && Int64(entry) - previous >= header.grainSectors
      previous = Int64(entry)
    }
    // Nearly every image is written in order: nothing to sort.
    if ascending { return }
    let sorted = table.enumerated().filter { $0.element != 0 }.sorted {
      ($0.element, $0.offset) < ($1.element, $1.offset)
    }
    for (left, right) in zip(sorted, sorted.dropFirst())
    where Int64(right.element) - Int64(left.element) < header.grainSectors {
      throw damaged(
        Int64(right.element), right.offset, "shares its place with grain \(firstGrain + Int64(left.offset))")
    }
  }

  private func damaged(_ sector: Int64, _ position: Int, _ what: String) -> IOError {
    IOError(
      .damaged, "read", path: path, offsetBytes: tableSector * Limits.sectorBytes + Int64(position) * 4,
      detail:
        "sector \(sector): grain \(firstGrain + Int64(position)) \(what): the image is damaged or still"
        + " being written"
    )
  }
}

/// Checks a block of entries of a grain directory.
struct GrainDirectoryCheck {
  let header: HostedSparseHeader
  let fileSizeBytes: Int64
  let path: String
  let directory: SectorRange
  let firstTable: Int64

  /// Throws when an entry cannot be right; turns the marker for a table of zeros into 0.
  func check(_ block: inout [UInt32]) throws(IOError) {
    for (position, entry) in block.enumerated() where entry != 0 {
      if entry == 1 && header.hasZeroedGrains {
        block[position] = 0
        continue
      }
      try check(Int64(entry), position)
    }
    let sorted = block.enumerated().filter { $0.element != 0 }.sorted {
      ($0.element, $0.offset) < ($1.element, $1.offset)
    }
    for (left, right) in zip(sorted, sorted.dropFirst()) where right.element == left.element {
      throw damaged(
        Int64(right.element), right.offset, "shares its place with table \(firstTable + Int64(left.offset))")
    }
  }

  private func check(_ sector: Int64, _ position: Int) throws(IOError) {
    guard sector * Limits.sectorBytes + header.entriesPerTable * 4 <= fileSizeBytes else {
      throw damaged(
        sector, position, "lies outside the extent (ends at \(fileSizeBytes / Limits.sectorBytes))")
    }
    guard let place = SectorRange(start: UInt64(sector), byteCount: UInt64(header.entriesPerTable) * 4),
      !header.ownRanges.contains(where: place.overlaps)
    else {
      throw damaged(sector, position, "lies on top of the image's header or directory")
    }
  }

  private func damaged(_ sector: Int64, _ position: Int, _ what: String) -> IOError {
    let table = firstTable + Int64(position)
    return IOError(
      .damaged, "read", path: path, offsetBytes: directory.offsetBytes + table * 4,
      detail: "sector \(sector): grain table \(table) \(what): the image is damaged or still being written")
  }
}
