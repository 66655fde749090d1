import ReplIO
import ReplModel

/// The extents of one link, one after another in one address space.
struct DiskLink: Sendable {
  let extents: [any LinkExtent]
  /// Where each extent starts on the disk, in bytes.
  private let starts: [Int64]
  let sizeBytes: Int64

  init(_ extents: [any LinkExtent]) {
    self.extents = extents
    var position: Int64 = 0
    starts = extents.map { extent in
      defer { position += extent.sizeBytes }
      return position
    }
    sizeBytes = position
  }

  func piece(at offset: Int64) throws(IOError) -> LinkPiece {
    let index = extentIndex(at: offset)
    return try extents[index].piece(at: offset - starts[index])
  }

  func pieceToRead(at offset: Int64) throws(IOError) -> LinkPiece {
    let index = extentIndex(at: offset)
    return try extents[index].pieceToRead(at: offset - starts[index])
  }

  /// The extent that holds `offset`, and where it starts on the disk.
  func extent(at offset: Int64) -> (extent: any LinkExtent, start: Int64) {
    let index = extentIndex(at: offset)
    return (extents[index], starts[index])
  }

  /// All of `buffer` lies inside one piece.
  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int64) throws(IOError) {
    let index = extentIndex(at: offset)
    try extents[index].read(into: buffer, at: offset - starts[index])
  }

  /// The end of the disk when nothing follows.
  func nextPresent(atOrAfter offset: Int64) throws(IOError) -> Int64 {
    guard offset < sizeBytes else { return sizeBytes }
    var index = extentIndex(at: offset)
    var position = offset
    while index < extents.count {
      if let found = try extents[index].nextPresent(atOrAfter: position - starts[index]) {
        return starts[index] + found
      }
      index += 1
      if index < extents.count { position = starts[index] }
    }
    return sizeBytes
  }

  private func extentIndex(at position: Int64) -> Int {
    var low = 0
    var high = starts.count
    while high - low > 1 {
      let middle = (low + high) / 2
      if starts[middle] <= position { low = middle } else { high = middle }
    }
    return low
  }
}
