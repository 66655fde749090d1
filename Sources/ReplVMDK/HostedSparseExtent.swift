import Glibc
import ReplIO
import ReplModel

/// A sparse extent: grains of a fixed size, found through tables, zeros where there is none.
final class HostedSparseExtent: BlockReadable {
  let sizeBytes: Int64
  private let file: PosixFile
  private let tables: GrainTables
  private let grainBytes: Int64
  private let entriesPerTable: Int64

  init(header: HostedSparseHeader, file: PosixFile, fileSizeBytes: Int64) {
    sizeBytes = header.capacitySectors * Limits.sectorBytes
    self.file = file
    tables = GrainTables(header: header, file: file, fileSizeBytes: fileSizeBytes)
    grainBytes = header.grainSectors * Limits.sectorBytes
    entriesPerTable = header.entriesPerTable
  }

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int64) throws(IOError) {
    guard let start = buffer.baseAddress else { return }
    var done = 0
    while done < buffer.count {
      let span = try span(at: offset + Int64(done), limitBytes: Int64(buffer.count - done))
      let part = UnsafeMutableRawBufferPointer(start: start + done, count: Int(span.length))
      if let place = span.fileOffset {
        try file.read(into: part, at: place)
      } else {
        memset(start + done, 0, part.count)
      }
      done += part.count
    }
  }

  func allocatedRange(atOrAfter offset: Int64) throws(IOError) -> ByteRange? {
    var position = max(0, offset)
    while position < sizeBytes {
      let span = try span(at: position, limitBytes: sizeBytes - position)
      if span.fileOffset != nil { return try allocatedRange(from: position, first: span.length) }
      position += span.length
    }
    return nil
  }

  private func allocatedRange(from start: Int64, first length: Int64) throws(IOError) -> ByteRange {
    var end = start + length
    while end < sizeBytes, end - start < Limits.allocatedRangeBytes {
      let next = try span(at: end, limitBytes: sizeBytes - end)
      guard next.fileOffset != nil else { break }
      end += next.length
    }
    return ByteRange(offset: start, length: end - start)
  }

  /// Bytes that lie side by side in the file, or that are all zeros.
  private struct Span {
    let length: Int64
    let fileOffset: Int64?
  }

  /// The longest span from `offset` inside one grain table.
  private func span(at offset: Int64, limitBytes: Int64) throws(IOError) -> Span {
    let grain = offset / grainBytes
    let table = try tables.table(grain / entriesPerTable)
    let tableEnd = (grain / entriesPerTable + 1) * entriesPerTable * grainBytes
    let limit = min(limitBytes, tableEnd - offset)
    guard !table.isEmpty else { return Span(length: limit, fileOffset: nil) }
    var position = Int(grain % entriesPerTable)
    let first = Int64(table[position])
    let inGrain = offset % grainBytes
    var length = grainBytes - inGrain
    var next = first == 0 ? 0 : first + grainBytes / Limits.sectorBytes
    while length < limit, position + 1 < table.count, Int64(table[position + 1]) == next {
      position += 1
      length += grainBytes
      if first != 0 { next += grainBytes / Limits.sectorBytes }
    }
    let place = first == 0 ? nil : first * Limits.sectorBytes + inGrain
    return Span(length: min(length, limit), fileOffset: place)
  }
}
