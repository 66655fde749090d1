import ReplIO

/// A stretch of one link of a chain whose bytes are alike in where they come from.
struct LinkPiece: Equatable, Sendable {
  enum Kind: Sendable {
    /// The link holds the bytes.
    case data
    /// Zeros, whatever a parent holds.
    case zero
    /// The parent's bytes; zeros where there is no parent.
    case absent
  }

  let kind: Kind
  /// Bytes from the offset that was asked for; more of the same kind may follow.
  let length: Int64
}

/// One extent of one link of a chain: flat, sparse or zeros. Safe to use from several threads at once.
///
/// Everything about tables and grains ends here: a chain sees pieces only.
protocol LinkExtent: AnyObject, Sendable {
  /// Bytes.
  var sizeBytes: Int64 { get }

  /// What is at `offset`, and how far. Bounded work: at most one table is walked. `offset` is below
  /// `sizeBytes`.
  func piece(at offset: Int64) throws(IOError) -> LinkPiece

  /// The first byte at or after `offset` that is not absent; nil when there is none. Skips tables that are
  /// not there without walking them.
  func nextPresent(atOrAfter offset: Int64) throws(IOError) -> Int64?

  /// Fills `buffer` from `offset`; all of it lies inside one `.data` piece.
  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int64) throws(IOError)

  /// As `piece`, for a caller that is about to read: data may be answered for zeros that are not cheaper to
  /// know than to read.
  func pieceToRead(at offset: Int64) throws(IOError) -> LinkPiece

  /// Bytes that the extent holds data for.
  func allocatedBytes() throws(IOError) -> Int64

  /// Where the bytes at `offset` lie, and how far that holds. `offset` is below `sizeBytes`.
  func origin(at offset: Int64) throws(IOError) -> LinkOrigin
}

extension LinkExtent {
  func pieceToRead(at offset: Int64) throws(IOError) -> LinkPiece { try piece(at: offset) }

  func allocatedBytes() throws(IOError) -> Int64 { try countedBytes() }

  /// The sum of the pieces of data.
  func countedBytes() throws(IOError) -> Int64 {
    var sum: Int64 = 0
    var position: Int64 = 0
    while position < sizeBytes, let next = try nextPresent(atOrAfter: position) {
      let found = try piece(at: next)
      if found.kind == .data { sum += found.length }
      position = next + found.length
    }
    return sum
  }
}
