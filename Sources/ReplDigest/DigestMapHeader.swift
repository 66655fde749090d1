import ReplModel

/// One header slot of a map file.
struct DigestMapHeader: Equatable, Sendable {
  private static let magic = Array("VMRPLMAP".utf8)
  static let version: UInt32 = 1

  enum State: UInt32 {
    case working = 0
    case at = 1
    case merging = 2
  }

  var format: DigestMapFormat
  var sequence: UInt64
  var state: State
  var reference: PointReference
  var pass: PassID
  var root: Root

  /// The header of a map that is being built.
  static func working(_ format: DigestMapFormat, sequence: UInt64) -> DigestMapHeader {
    DigestMapHeader(
      format: format, sequence: sequence, state: .working,
      reference: PointReference(epoch: Epoch(0), number: 0), pass: PassID(high: 0, low: 0), root: .zero)
  }

  func encode() -> [UInt8] {
    var fields = HeaderFields(byteCount: DigestFileLayout.slotBytes)
    fields.put(Self.magic, at: 0)
    fields.put(Self.version, at: 8)
    fields.put(state.rawValue, at: 12)
    fields.put(sequence, at: 16)
    format.put(into: &fields)
    fields.put(reference.epoch.value, at: 72)
    fields.put(reference.number, at: 80)
    fields.put(pass, at: 88)
    fields.put(root.bytes, at: 104)
    return fields.sealed()
  }

  /// What a slot holds.
  enum Reading: Equatable {
    case header(DigestMapHeader)
    /// A good checksum over something this program does not know.
    case unknown(String)
    /// Never written, torn or damaged.
    case nothing
  }

  static func decode(_ bytes: [UInt8]) -> Reading {
    guard let fields = HeaderFields(checking: bytes), fields.slice(at: 0, count: 8) == magic else {
      return .nothing
    }
    guard fields.uint32(at: 8) == version else {
      return .unknown("map version \(fields.uint32(at: 8)), this program knows \(version)")
    }
    guard let format = DigestMapFormat(fields), let state = State(rawValue: fields.uint32(at: 12)),
      fields.isZero(136..<480), (1...UInt64(Int64.max)).contains(fields.uint64(at: 16))
    else { return .unknown("a map header with values that this program does not know") }
    return .header(
      DigestMapHeader(
        format: format, sequence: fields.uint64(at: 16), state: state,
        reference: PointReference(epoch: Epoch(fields.uint64(at: 72)), number: fields.uint64(at: 80)),
        pass: fields.identifier(at: 88), root: fields.hash(at: 104)))
  }
}
