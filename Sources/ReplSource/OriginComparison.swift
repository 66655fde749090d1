import ReplIO
import ReplModel
import ReplVMDK

/// Compares where the bytes of a disk lie in two frozen views of it, both of which still exist: blocks that
/// both share cannot differ. Streams both maps; memory is what `HintedRanges` keeps and one answer a file.
struct OriginComparison {
  /// Grains lie anywhere in their file: no more than this around one is asked for.
  private static let leastWindow: Int64 = 4 << 20

  private let old: VMDKImage
  private let new: VMDKImage
  private var oldMaps = ExtentMaps()
  private var newMaps = ExtentMaps()
  private var changed = HintedRanges()

  /// Both are of the same size.
  init(_ old: VMDKImage, _ new: VMDKImage) {
    (self.old, self.new) = (old, new)
  }

  /// What may differ; nil when `isStopping`, which is asked now and then, was true once.
  mutating func run(isStopping: () -> Bool) throws(IOError) -> HintedRanges? {
    var position: Int64 = 0
    while position < new.sizeBytes {
      if isStopping() { return nil }
      let (before, after) = (try old.origin(at: position), try new.origin(at: position))
      let length = min(before.length, after.length, new.sizeBytes - position)
      guard length > 0 else { throw IOError(.damaged, "compare", path: "disk", offsetBytes: position) }
      let range = ByteRange(offset: position, length: length)
      guard try compare(before.origin, after.origin, range, isStopping) else { return nil }
      position += length
    }
    changed.settle()
    return changed
  }

  /// False when it was stopped: what is behind was not compared.
  private mutating func compare(
    _ before: BytesOrigin, _ after: BytesOrigin, _ range: ByteRange, _ isStopping: () -> Bool
  ) throws(IOError) -> Bool {
    guard Self.mayShare(before, after) else {
      changed.add(range)
      return true
    }
    var position: Int64 = 0
    while position < range.length {
      if isStopping() { return false }
      let left = range.length - position
      let window = max(left, Self.leastWindow)
      let one = try oldMaps.stretch(of: before, at: position, limit: left, window: window)
      let other = try newMaps.stretch(of: after, at: position, limit: left, window: window)
      let length = min(one.length, other.length)
      if !Self.isSame(one.kind, other.kind) {
        changed.add(ByteRange(offset: range.offset + position, length: length))
      }
      position += length
    }
    return true
  }

  /// The same place of the same file, or zeros that one side has without a file.
  private static func mayShare(_ before: BytesOrigin, _ after: BytesOrigin) -> Bool {
    switch (before, after) {
    case (.file(let one, let start), .file(let other, let otherStart)):
      one.place == other.place && start == otherStart && one.status.device == other.status.device
    case (.elsewhere, _), (_, .elsewhere): false
    default: true
    }
  }

  static func isSame(_ one: FileExtents.Kind, _ other: FileExtents.Kind) -> Bool {
    switch (one, other) {
    case (.zero, .zero): true
    case (.stored(let here), .stored(let there)): here == there
    default: false
    }
  }
}

/// What the filesystem said last of each file of a view.
private struct ExtentMaps {
  private var known: [DiskFileName: FileExtents] = [:]

  /// Kind and length of what lies `distance` behind the beginning of `origin`.
  mutating func stretch(
    of origin: BytesOrigin, at distance: Int64, limit: Int64, window: Int64
  ) throws(IOError) -> (kind: FileExtents.Kind, length: Int64) {
    switch origin {
    case .zero: return (.zero, limit)
    case .elsewhere: return (.unknown, limit)
    case .file(let file, let start):
      let position = start + distance
      if let found = known[file.place].flatMap({ Self.stretch(in: $0, at: position) }) {
        return (found.kind, min(found.length, limit))
      }
      guard let asked = ByteRange(checkedOffset: position, length: window) else { return (.unknown, limit) }
      let answer = try file.file.extents(in: asked)
      known[file.place] = answer
      guard let found = Self.stretch(in: answer, at: position) else { return (.unknown, limit) }
      return (found.kind, min(found.length, limit))
    }
  }

  private static func stretch(
    in extents: FileExtents, at position: Int64
  ) -> (kind: FileExtents.Kind, length: Int64)? {
    var low = 0
    var high = extents.stretches.count
    while low < high {
      let middle = (low + high) / 2
      if extents.stretches[middle].range.end <= position { low = middle + 1 } else { high = middle }
    }
    guard low < extents.stretches.count, extents.stretches[low].range.offset <= position else { return nil }
    let stretch = extents.stretches[low]
    guard case .stored(let place) = stretch.kind else {
      return (stretch.kind, stretch.range.end - position)
    }
    let inside = position - stretch.range.offset
    return (.stored(at: place + UInt64(inside)), stretch.range.end - position)
  }
}
