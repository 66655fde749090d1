import ReplIO
import ReplModel

/// Where bytes of a disk come from, without reading them.
public enum BytesOrigin: Sendable {
  /// They are zero, whatever the files hold.
  case zero
  /// They lie in this file from this byte on, as they are.
  case file(VMDKFile, offset: Int64)
  /// They have no place of their own: packed grains.
  case elsewhere
}

/// What one link of a chain says of the bytes at an offset.
struct LinkOrigin {
  enum Kind {
    case zero
    case absent
    case file(DiskFile, offset: Int64)
    case elsewhere
  }

  let kind: Kind
  /// Bytes from the offset that was asked for.
  let length: Int64
}

extension VMDKImage {
  /// Where the bytes at `offset`, which is below the size, come from, and for how many bytes that holds.
  /// Bounded work, as of one read.
  public func origin(at offset: Int64) throws(IOError) -> (origin: BytesOrigin, length: Int64) {
    let (kind, length) = try chain.origin(at: offset)
    switch kind {
    case .zero, .absent: return (.zero, length)
    case .elsewhere: return (.elsewhere, length)
    case .file(let source, let start):
      guard let file = files.first(where: { $0.place == source.place }) else { return (.elsewhere, length) }
      return (.file(file, offset: start), length)
    }
  }

  /// The next range at or after `offset` that link `index` (0: the disk that was named) hides from its
  /// parents, by data or by zeros; nil when there is none.
  public func presentRange(inLink index: Int, atOrAfter offset: Int64) throws(IOError) -> ByteRange? {
    try chain.presentRange(inLink: index, atOrAfter: offset)
  }
}

extension DiskChain {
  func origin(at offset: Int64) throws(IOError) -> (LinkOrigin.Kind, length: Int64) {
    var length = sizeBytes - offset
    for (index, link) in links.enumerated() {
      if let absent = gap(ofLink: index, at: offset) {
        length = min(length, absent)
        continue
      }
      let found = try link.origin(at: offset)
      guard case .absent = found.kind else { return (found.kind, min(length, found.length)) }
      let end = try link.nextPresent(atOrAfter: offset + found.length)
      remember(gap: ByteRange(offset: offset, length: end - offset), ofLink: index)
      length = min(length, end - offset)
    }
    return (.absent, length)
  }

  func presentRange(inLink index: Int, atOrAfter offset: Int64) throws(IOError) -> ByteRange? {
    let link = links[index]
    let start = try link.nextPresent(atOrAfter: max(0, offset))
    guard start < sizeBytes else { return nil }
    var end = start
    while end < sizeBytes, end - start < Limits.allocatedRangeBytes {
      let piece = try link.piece(at: end)
      guard piece.kind != .absent else { break }
      end += piece.length
    }
    return ByteRange(offset: start, length: end - start)
  }
}

extension DiskLink {
  func origin(at offset: Int64) throws(IOError) -> LinkOrigin {
    let (extent, start) = extent(at: offset)
    return try extent.origin(at: offset - start)
  }
}

extension LinkExtent {
  /// For kinds whose bytes do not lie in a file as they are.
  func origin(at offset: Int64) throws(IOError) -> LinkOrigin {
    let piece = try piece(at: offset)
    switch piece.kind {
    case .data: return LinkOrigin(kind: .elsewhere, length: piece.length)
    case .zero: return LinkOrigin(kind: .zero, length: piece.length)
    case .absent: return LinkOrigin(kind: .absent, length: piece.length)
    }
  }
}
