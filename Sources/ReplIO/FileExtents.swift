import ReplModel

/// Where the bytes of a part of a file lie on its storage, as far as the filesystem says so. Nothing here is
/// the bytes themselves: two files that share a block have the same bytes there.
public struct FileExtents: Hashable, Sendable {
  /// What is known of a stretch.
  public enum Kind: Hashable, Sendable {
    /// A hole, or space that was reserved and never written.
    case zero
    /// From this byte of the storage on.
    case stored(at: UInt64)
    /// There may be anything: not yet placed, packed, inline, or of a kind that we do not know.
    case unknown
  }

  /// Adjacent bytes of one kind.
  public struct Stretch: Hashable, Sendable {
    public let range: ByteRange
    public let kind: Kind

    public init(range: ByteRange, kind: Kind) {
      self.range = range
      self.kind = kind
    }
  }

  /// Without gaps, in order, from where it was asked to `end`.
  public let stretches: [Stretch]
  /// Up to here the answer goes; ask again from here for the rest.
  public let end: Int64

  /// One extent as the kernel tells it.
  struct Raw: Hashable {
    let logical, physical, length: UInt64
    let flags: UInt32
  }

  /// `FIEMAP_EXTENT_*` of `linux/fiemap.h`. Whatever is neither harmless nor "unwritten" makes the place
  /// unknown, flags that later kernels may bring included.
  private enum Flag {
    static let last: UInt32 = 0x0001
    static let unwritten: UInt32 = 0x0800
    static let merged: UInt32 = 0x1000
    static let shared: UInt32 = 0x2000
    static let harmless = last | unwritten | merged | shared
  }

  /// `raw` are those that touch `range`, in order; `isCut` when there may be more. What does not look like an
  /// answer to the question makes all of `range` unknown.
  init(_ raw: [Raw], in range: ByteRange, isCut: Bool) {
    var stretches: [Stretch] = []
    var position = range.offset
    for extent in raw {
      guard let own = Self.bytes(of: extent), own.end > position else {
        self = Self.unknown(range)
        return
      }
      guard own.offset < range.end else { break }
      // The first one may begin before the range; none may begin inside another.
      guard own.offset >= position || stretches.isEmpty else {
        self = Self.unknown(range)
        return
      }
      if own.offset > position {
        let hole = ByteRange(offset: position, length: own.offset - position)
        stretches.append(Stretch(range: hole, kind: .zero))
        position = own.offset
      }
      let part = ByteRange(offset: position, length: min(own.end, range.end) - position)
      stretches.append(Stretch(range: part, kind: Self.kind(extent, from: position)))
      position = part.end
    }
    if !isCut, position < range.end {
      let rest = ByteRange(offset: position, length: range.end - position)
      stretches.append(Stretch(range: rest, kind: .zero))
      position = range.end
    }
    guard position > range.offset || range.isEmpty else {
      self = Self.unknown(range)
      return
    }
    self.stretches = stretches
    end = position
  }

  private init(stretches: [Stretch], end: Int64) {
    self.stretches = stretches
    self.end = end
  }

  /// Nothing is known of all of it.
  static func unknown(_ range: ByteRange) -> FileExtents {
    FileExtents(stretches: [Stretch(range: range, kind: .unknown)], end: range.end)
  }

  private static func bytes(of extent: Raw) -> ByteRange? {
    guard let offset = Int64(exactly: extent.logical), let length = Int64(exactly: extent.length),
      length > 0, !extent.physical.addingReportingOverflow(extent.length).overflow
    else { return nil }
    return ByteRange(checkedOffset: offset, length: length)
  }

  private static func kind(_ extent: Raw, from position: Int64) -> Kind {
    guard extent.flags & ~Flag.harmless == 0 else { return .unknown }
    if extent.flags & Flag.unwritten != 0 { return .zero }
    return .stored(at: extent.physical + (UInt64(position) - extent.logical))
  }
}
