import ReplIO

/// What an entry of a grain table says, in one form for every kind of sparse extent: `absent`, `zero`, or the
/// grain's first sector in the file.
enum GrainEntry {
  /// The parent's bytes; zeros where there is no parent.
  static let absent: Int64 = 0
  /// Zeros, whatever a parent holds.
  static let zero: Int64 = -1

  static func kind(_ entry: Int64) -> LinkPiece.Kind {
    switch entry {
    case absent: .absent
    case zero: .zero
    default: .data
    }
  }
}

/// How an extent is cut into grains and tables.
struct GrainShape: Hashable {
  let capacitySectors: Int64
  let grainSectors: Int64
  let entriesPerTable: Int64

  var sizeBytes: Int64 { capacitySectors * Limits.sectorBytes }
  var grainBytes: Int64 { grainSectors * Limits.sectorBytes }
  /// Bytes of the disk that one table describes.
  var tableSpanBytes: Int64 { grainBytes * entriesPerTable }
  var grainCount: Int64 { (capacitySectors + grainSectors - 1) / grainSectors }
  var tableCount: Int64 { (grainCount + entriesPerTable - 1) / entriesPerTable }

  /// Entries past the end of the disk mean nothing and are not looked at.
  func entryCount(ofTable index: Int64) -> Int {
    Int(min(entriesPerTable, grainCount - index * entriesPerTable))
  }

  /// Sectors of a grain that belong to the disk: the last grain need not be there in full.
  func sectors(ofGrain grain: Int64) -> Int64 {
    min(grainSectors, capacitySectors - grain * grainSectors)
  }
}

/// Where an extent's tables come from. Nothing is kept here: `GrainTableWalk` does that.
protocol GrainTableSource: AnyObject, Sendable {
  var shape: GrainShape { get }

  /// The checked entries of a table (`GrainEntry`); empty when the whole table is absent.
  func loadTable(_ index: Int64) throws(IOError) -> [Int64]

  /// The first table at or after `index` that is not absent; nil when there is none.
  func nextTable(atOrAfter index: Int64) throws(IOError) -> Int64?
}
