import FoundationEssentials
import ReplDigest
import ReplIO
import ReplModel

extension Catalog {
  static let formatVersion = 2
  private static let word = "vmrepl-catalog"

  /// Reads the catalog of a standby (`CatalogFormat`); nil when there is none.
  static func load(from directory: any StorageDirectory) throws(StandbyError) -> Catalog? {
    guard try storing({ () throws(IOError) in try directory.contains(StandbyLayout.catalog) }) else {
      return nil
    }
    let bytes = try storing { () throws(IOError) in
      try directory.readFile(StandbyLayout.catalog, limitBytes: Limits.catalogBytes + 128)
    }
    return try decode(bytes, path: "\(directory.path)/\(StandbyLayout.catalog)")
  }

  /// Replaces the catalog durably. Throws `.catalogFull` for one that could not be read again.
  func save(in directory: any StorageDirectory) throws(StandbyError) {
    let path = "\(directory.path)/\(StandbyLayout.catalog)"
    if let contradiction { preconditionFailure("a catalog that contradicts itself: \(contradiction)") }
    let bytes = try encode(path: path)
    guard bytes.count <= Limits.catalogBytes else {
      throw .catalogFull(path: path, neededBytes: bytes.count, limitBytes: Limits.catalogBytes)
    }
    try storing { () throws(IOError) in try directory.replaceFile(StandbyLayout.catalog, with: bytes) }
  }

  func encode(path: String) throws(StandbyError) -> [UInt8] {
    let json = try RecordJSON.encode(self)
    let checksum = try Self.checksum(json[...])
    let line = "\(Self.word) \(Self.formatVersion) \(HexText.encode(checksum)) \(json.count)\n"
    return Array(line.utf8) + json
  }

  static func decode(_ bytes: [UInt8], path: String) throws(StandbyError) -> Catalog {
    guard let lineEnd = bytes.prefix(128).firstIndex(of: UInt8(ascii: "\n")) else {
      throw .catalogDamaged(path: path, detail: "no header line")
    }
    let words = bytes[..<lineEnd].split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false)
      .map { String(decoding: $0, as: UTF8.self) }
    guard words.count >= 2, words[0] == word, let version = Int(words[1]), version > 0 else {
      throw .catalogDamaged(path: path, detail: "the header line is not a catalog's")
    }
    guard version <= formatVersion else {
      throw .newerFormat(path: path, found: version, supported: formatVersion)
    }
    let json = bytes[(lineEnd + 1)...]
    guard words.count == 4, words[3] == String(json.count) else {
      throw .catalogDamaged(path: path, detail: "\(json.count) bytes after the header line")
    }
    guard HexText.encode(try checksum(json)) == words[2] else {
      throw .catalogDamaged(path: path, detail: "the checksum is wrong")
    }
    guard let catalog = version == 1 ? CatalogVersion1.decode(Array(json)) : RecordJSON.decode(Array(json))
    else {
      throw .catalogDamaged(path: path, detail: "the JSON is not a catalog's")
    }
    if let contradiction = catalog.contradiction {
      throw .catalogDamaged(path: path, detail: contradiction)
    }
    return catalog
  }

  private static func checksum(_ json: ArraySlice<UInt8>) throws(StandbyError) -> [UInt8] {
    let digest = try json.reading { (buffer) throws(StandbyError) in
      try digesting { () throws(DigestError) in try RecordChecksum().compute([buffer]) }
    }
    return digest.bytes
  }
}

/// JSON as it stands in catalogs and records: sorted keys, so that equal values are equal bytes.
enum RecordJSON {
  static func encode(_ value: some Encodable) throws(StandbyError) -> [UInt8] {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    do {
      return Array(try encoder.encode(value))
    } catch {
      throw .badOffer(detail: "cannot be written as JSON: \(error)")
    }
  }

  /// Nil when it is not the JSON of a `Value`. Callers have checked length and checksum.
  static func decode<Value: Decodable>(_ bytes: [UInt8]) -> Value? {
    // What exactly is wrong with bytes whose checksum is right does not help anybody.
    try? JSONDecoder().decode(Value.self, from: Data(bytes))
  }
}
