/// A range of sectors of a file, from values of the file: checked against overflow when it is made.
struct SectorRange: Hashable {
  let start: Int64
  let count: Int64

  /// Nil when the end, in bytes, does not fit into `Int64`.
  init?(start: UInt64, count: UInt64) {
    let limit = UInt64(Int64.max / Limits.sectorBytes)
    guard start <= limit, count <= limit - start else { return nil }
    self.start = Int64(start)
    self.count = Int64(count)
  }

  /// As many sectors as `byteCount` bytes touch.
  init?(start: UInt64, byteCount: UInt64) {
    self.init(start: start, count: byteCount / 512 + (byteCount % 512 == 0 ? 0 : 1))
  }

  var end: Int64 { start + count }
  var offsetBytes: Int64 { start * Limits.sectorBytes }
  var endBytes: Int64 { end * Limits.sectorBytes }

  func overlaps(_ other: SectorRange) -> Bool {
    count > 0 && other.count > 0 && start < other.end && other.start < end
  }
}
