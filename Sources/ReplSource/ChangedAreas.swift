import FoundationEssentials
import ReplIO
import ReplModel

/// What a hint command printed of one disk: JSON objects, one a line. Any doubt refuses all of it.
///
/// `{"offset":N,"length":N}` an area that may have changed, bytes; `{"change_id":"…"}` once, what to ask
/// with next time; `{"all":true}` it cannot tell; `{"end":true,"areas":N}` last, N being the number of areas:
/// output that was cut off at either end does not pass for whole. Each may also have `"disk":"scsi0:0"`.
struct ChangedAreas {
  /// Some 200,000 areas.
  static let outputLimitBytes = 8 << 20
  private static let lineLimitBytes = 4096
  private static let changeIDLimitBytes = 1024
  /// The change ID before there is one, as VMware has it: everything that is in use.
  static let everything = "*"

  let changeID: String
  /// Nil when the command cannot tell.
  let changed: HintedRanges?

  private struct Line: Decodable {
    var disk: String?
    var offset: Int64?
    var length: Int64?
    var changeID: String?
    var all: Bool?
    var end: Bool?
    var areas: Int64?

    enum CodingKeys: String, CodingKey, CaseIterable {
      case disk, offset, length, all, end, areas
      case changeID = "change_id"
    }

    struct Key: CodingKey {
      let stringValue: String
      var intValue: Int? { nil }
      init?(stringValue: String) { self.stringValue = stringValue }
      init?(intValue: Int) { nil }
    }

    init(from decoder: any Decoder) throws {
      // A key that we do not know may be one of ours, misspelt.
      let known = Set(CodingKeys.allCases.map(\.rawValue))
      for key in try decoder.container(keyedBy: Key.self).allKeys where !known.contains(key.stringValue) {
        throw DecodingError.dataCorrupted(
          .init(codingPath: [], debugDescription: "the key \(key.stringValue)"))
      }
      let fields = try decoder.container(keyedBy: CodingKeys.self)
      disk = try fields.decodeIfPresent(String.self, forKey: .disk)
      offset = try fields.decodeIfPresent(Int64.self, forKey: .offset)
      length = try fields.decodeIfPresent(Int64.self, forKey: .length)
      changeID = try fields.decodeIfPresent(String.self, forKey: .changeID)
      all = try fields.decodeIfPresent(Bool.self, forKey: .all)
      end = try fields.decodeIfPresent(Bool.self, forKey: .end)
      areas = try fields.decodeIfPresent(Int64.self, forKey: .areas)
    }
  }

  init(_ output: String, slot: DiskSlot, sizeBytes: Int64) throws(HintRefusal) {
    // Only the end of longer output is kept: a first line that is missing must not go unseen.
    guard output.utf8.count < Self.outputLimitBytes else {
      throw HintRefusal("it is longer than \(Self.outputLimitBytes) bytes")
    }
    var reading = Reading(slot: slot, sizeBytes: sizeBytes)
    for (number, line) in output.utf8.split(separator: UInt8(ascii: "\n")).enumerated() {
      let bytes = line.last == UInt8(ascii: "\r") ? line.dropLast() : line
      if bytes.allSatisfy({ $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") }) { continue }
      do throws(HintRefusal) { try reading.take(Array(bytes)) } catch {
        throw HintRefusal("line \(number + 1): \(error)")
      }
    }
    guard reading.hasEnded else {
      throw HintRefusal("its last line, {\"end\":true,\"areas\":N}, is missing")
    }
    guard let changeID = reading.changeID else {
      throw HintRefusal("it has no change_id to ask with next time")
    }
    self.changeID = changeID
    reading.changed.settle()
    changed = reading.isUnknown ? nil : reading.changed
  }

  private struct Reading {
    let slot: DiskSlot
    let sizeBytes: Int64
    var changed = HintedRanges()
    var areas: Int64 = 0
    var changeID: String?
    var isUnknown = false
    var hasEnded = false

    mutating func take(_ bytes: [UInt8]) throws(HintRefusal) {
      guard !hasEnded else { throw HintRefusal("something follows the end") }
      guard bytes.count <= lineLimitBytes else { throw HintRefusal("\(bytes.count) bytes are too many") }
      let line: Line
      do { line = try JSONDecoder().decode(Line.self, from: .init(bytes)) } catch {
        let shown = SafeText.printable(String(decoding: bytes, as: UTF8.self), limit: 120)
        throw HintRefusal("\"\(shown)\" is not an object of the kinds that were expected")
      }
      if let disk = line.disk, disk != slot.description {
        throw HintRefusal("it is about \(SafeText.printable(disk, limit: 32)), asked was \(slot)")
      }
      let kinds = [
        line.offset != nil || line.length != nil, line.changeID != nil, line.all != nil, line.end != nil,
      ]
      guard kinds.count(where: { $0 }) == 1, line.areas == nil || line.end != nil else {
        throw HintRefusal("it is not one area, change_id, all or end")
      }
      try take(line)
    }

    private mutating func take(_ line: Line) throws(HintRefusal) {
      if let id = line.changeID { return try take(changeID: id) }
      if let all = line.all {
        isUnknown = isUnknown || all
        return
      }
      if let end = line.end {
        guard end, line.areas == areas else {
          throw HintRefusal(
            "it ends with \(line.areas.map { "\($0)" } ?? "no number of") areas, \(areas) came")
        }
        hasEnded = true
        return
      }
      guard let offset = line.offset, let length = line.length, length > 0,
        let range = ByteRange(checkedOffset: offset, length: length), range.end <= sizeBytes
      else { throw HintRefusal("the area does not lie on the disk of \(sizeBytes) bytes") }
      changed.add(range)
      areas += 1
    }

    private mutating func take(changeID id: String) throws(HintRefusal) {
      guard changeID == nil else { throw HintRefusal("a second change_id") }
      // It becomes an argument: never an option, never what a terminal would act on.
      guard (1...changeIDLimitBytes).contains(id.utf8.count), !id.hasPrefix("-"), id != everything,
        id.utf8.allSatisfy({ (0x20...0x7E).contains($0) })
      else { throw HintRefusal("the change_id is no printable text") }
      changeID = id
    }
  }
}
