import Synchronization

/// Which parts of an extent's file its grains and tables claim: no two may claim the same.
///
/// One bit stands for as much of the file as one grain is long. Two grains whose starts lie in the same part
/// overlap, so honest extents never collide. What is not noticed: grains that overlap across the border of
/// two parts (only writers that do not align grains), and whatever lies behind the part of the file for which
/// the memory sufficed.
final class GrainTableClaims: Sendable {
  private struct State {
    var parts: [UInt64]
    /// Tables whose grains have been claimed: they may be loaded any number of times.
    var tables: [UInt64]
  }

  private let state: Mutex<State>
  private let grainSectors: Int64

  init(shape: GrainShape, fileSizeBytes: Int64, _ context: ExtentContext) {
    grainSectors = shape.grainSectors
    let tableWords = Self.words(shape.tableCount)
    let wanted = Self.words(fileSizeBytes / shape.grainBytes + 1)
    let granted = context.takeClaimBytes((tableWords + wanted) * 8) / 8
    state = Mutex(
      State(
        parts: [UInt64](repeating: 0, count: max(0, granted - tableWords)),
        tables: [UInt64](repeating: 0, count: granted > tableWords ? tableWords : 0)))
  }

  private static func words(_ bits: Int64) -> Int { Int(bits / 64) + 1 }

  /// Whose place is somebody else's.
  enum Conflict: Equatable {
    case table
    /// The position of the first such entry.
    case entry(Int)
  }

  /// Claims the place of table `index` and those of its grains: all or, in a conflict, none.
  func claim(table index: Int64, at place: SectorRange?, entries: [Int64]) -> Conflict? {
    state.withLock { state -> Conflict? in
      let word = Int(index / 64)
      let bit = UInt64(1) << UInt64(index % 64)
      guard word < state.tables.count, state.tables[word] & bit == 0 else { return nil }
      var taken: [Int64] = []
      let conflict = take(place, entries, &state.parts, &taken)
      if conflict == nil {
        state.tables[word] |= bit
      } else {
        for part in taken { state.parts[Int(part / 64)] &= ~(UInt64(1) << UInt64(part % 64)) }
      }
      return conflict
    }
  }

  private func take(
    _ table: SectorRange?, _ entries: [Int64], _ parts: inout [UInt64], _ taken: inout [Int64]
  ) -> Conflict? {
    for part in inside(table) where !take(part, &parts, &taken) { return .table }
    for (position, entry) in entries.enumerated() where entry > 0 {
      if !take(entry / grainSectors, &parts, &taken) { return .entry(position) }
    }
    return nil
  }

  private func take(_ part: Int64, _ parts: inout [UInt64], _ taken: inout [Int64]) -> Bool {
    guard part / 64 < Int64(parts.count) else { return true }
    let bit = UInt64(1) << UInt64(part % 64)
    guard parts[Int(part / 64)] & bit == 0 else { return false }
    parts[Int(part / 64)] |= bit
    taken.append(part)
    return true
  }

  /// Only parts that lie wholly inside a table: no honest grain starts there.
  private func inside(_ table: SectorRange?) -> Range<Int64> {
    guard let table else { return 0..<0 }
    let first = (table.start + grainSectors - 1) / grainSectors
    return first..<max(first, table.end / grainSectors)
  }
}
