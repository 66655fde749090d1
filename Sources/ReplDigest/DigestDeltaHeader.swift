import ReplModel

/// The header of a delta file.
struct DigestDeltaHeader: Equatable, Sendable {
  private static let magic = Array("VMRPLDLT".utf8)
  static let version: UInt32 = 1

  /// What sealing adds.
  struct Seal: Equatable, Sendable {
    var pass: PassID
    var root: Root
    var touchedLeaves: Int64
    var bitmapHash: Hash256
  }

  var format: DigestMapFormat
  var baseRoot: Root
  /// Nil while the delta is open.
  var seal: Seal?

  func encode() -> [UInt8] {
    var fields = HeaderFields(byteCount: DigestFileLayout.slotBytes)
    fields.put(Self.magic, at: 0)
    fields.put(Self.version, at: 8)
    format.put(into: &fields)
    fields.put(baseRoot.bytes, at: 72)
    guard let seal else { return fields.sealed() }
    fields.put(UInt32(1), at: 12)
    fields.put(UInt64(seal.touchedLeaves), at: 16)
    fields.put(seal.pass, at: 104)
    fields.put(seal.root.bytes, at: 120)
    fields.put(seal.bitmapHash.bytes, at: 152)
    return fields.sealed()
  }

  /// Nil when the bytes are torn, damaged or unknown: to this program there is no delta.
  init?(decoding bytes: [UInt8]) {
    guard let fields = HeaderFields(checking: bytes), fields.slice(at: 0, count: 8) == Self.magic,
      fields.uint32(at: 8) == Self.version, fields.isZero(184..<480),
      let format = DigestMapFormat(fields), let touched = Int64(exactly: fields.uint64(at: 16)),
      fields.uint32(at: 12) <= 1
    else { return nil }
    self.init(format: format, baseRoot: fields.hash(at: 72))
    guard fields.uint32(at: 12) == 1 else { return }
    seal = Seal(
      pass: fields.identifier(at: 104), root: fields.hash(at: 120), touchedLeaves: touched,
      bitmapHash: fields.hash(at: 152))
  }

  init(format: DigestMapFormat, baseRoot: Root) {
    self.format = format
    self.baseRoot = baseRoot
  }
}
