/// A range of bytes of a disk or file: offset and length in bytes, never negative, never past `Int64.max`.
public struct ByteRange: Hashable, Sendable {
  public let offset: Int64
  public let length: Int64

  /// For values of our own. Values from outside go through `init?(checkedOffset:length:)`.
  public init(offset: Int64, length: Int64) {
    precondition(offset >= 0 && length >= 0 && length <= Int64.max - offset, "byte range overflows")
    self.offset = offset
    self.length = length
  }

  /// Nil when either value is negative or the end overflows.
  public init?(checkedOffset offset: Int64, length: Int64) {
    guard offset >= 0, length >= 0, length <= Int64.max - offset else { return nil }
    self.offset = offset
    self.length = length
  }

  public var end: Int64 { offset + length }
  public var isEmpty: Bool { length == 0 }

  /// What both have in common; nil when that is nothing.
  public func intersection(_ other: ByteRange) -> ByteRange? {
    let start = max(offset, other.offset)
    let stop = min(end, other.end)
    return start < stop ? ByteRange(offset: start, length: stop - start) : nil
  }
}
