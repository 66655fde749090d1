import Glibc
import ReplIO
import ReplModel
import Synchronization

/// A chain of links as one address space: what a link does not hold is its parent's, and zeros at the end.
final class DiskChain: Sendable {
  /// Youngest first, all of one size.
  let links: [DiskLink]
  let sizeBytes: Int64
  /// Per link, the stretch that is known to be absent: asked for again and again while a base full of data is
  /// walked under a nearly empty delta, whose directory would be read from end to end each time.
  private let gaps: Mutex<[ByteRange]>

  init(_ links: [DiskLink]) {
    precondition(!links.isEmpty && links.allSatisfy { $0.sizeBytes == links[0].sizeBytes }, "sizes differ")
    self.links = links
    sizeBytes = links[0].sizeBytes
    gaps = Mutex(Array(repeating: ByteRange(offset: 0, length: 0), count: links.count))
  }

  /// All of `buffer` lies inside the disk.
  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int64) throws(IOError) {
    guard let start = buffer.baseAddress else { return }
    var done = 0
    while done < buffer.count {
      let position = offset + Int64(done)
      let source = try sourceToRead(at: position, limitBytes: Int64(buffer.count - done))
      let part = UnsafeMutableRawBufferPointer(start: start + done, count: Int(source.length))
      if let link = source.link {
        try link.read(into: part, at: position)
      } else {
        memset(start + done, 0, part.count)
      }
      done += part.count
    }
  }

  /// Who has the bytes, none for zeros, and how far that holds.
  private func sourceToRead(
    at offset: Int64, limitBytes: Int64
  ) throws(IOError) -> (link: DiskLink?, length: Int64) {
    var length = limitBytes
    for link in links {
      let piece = try link.pieceToRead(at: offset)
      length = min(length, piece.length)
      switch piece.kind {
      case .data: return (link, length)
      case .zero: return (nil, length)
      case .absent: continue
      }
    }
    return (nil, length)
  }

  // MARK: Allocated ranges

  func allocatedRange(atOrAfter offset: Int64) throws(IOError) -> ByteRange? {
    var position = max(0, offset)
    while position < sizeBytes {
      let stretch = try stretch(at: position)
      if stretch.isData { return try allocatedRange(from: position, first: stretch.length) }
      position += stretch.length
    }
    return nil
  }

  private func allocatedRange(from start: Int64, first length: Int64) throws(IOError) -> ByteRange {
    var end = start + length
    while end < sizeBytes, end - start < Limits.allocatedRangeBytes {
      let next = try stretch(at: end)
      guard next.isData else { break }
      end += next.length
    }
    // One hole-free file may answer with all of itself at once.
    return ByteRange(offset: start, length: min(end - start, Limits.allocatedRangeBytes))
  }

  /// Whether any link holds data at `offset`, and how far that holds.
  private func stretch(at offset: Int64) throws(IOError) -> (isData: Bool, length: Int64) {
    var length = sizeBytes - offset
    for (index, link) in links.enumerated() {
      if let absent = gap(ofLink: index, at: offset) {
        length = min(length, absent)
        continue
      }
      let piece = try link.piece(at: offset)
      guard piece.kind == .absent else { return (piece.kind == .data, min(length, piece.length)) }
      let end = try link.nextPresent(atOrAfter: offset + piece.length)
      let gap = ByteRange(offset: offset, length: end - offset)
      remember(gap: gap, ofLink: index)
      length = min(length, gap.length)
    }
    return (false, length)
  }

  func remember(gap: ByteRange, ofLink index: Int) { gaps.withLock { $0[index] = gap } }

  func gap(ofLink index: Int, at offset: Int64) -> Int64? {
    let known = gaps.withLock { $0[index] }
    return offset >= known.offset && offset < known.end ? known.end - offset : nil
  }
}
