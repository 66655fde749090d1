import ReplIO
import ReplModel

/// A digest key in a small checksummed file; the layout is on the page DigestMapFormat.
public enum DigestKeyFile {
  private static let magic = Array("VMRPLKEY".utf8)
  private static let version: UInt32 = 1

  /// The key in file `name`; nil when there is none. Throws `.damaged` when it cannot be trusted,
  /// `.foreign` when a newer version wrote it.
  public static func load(
    _ name: String, in directory: any StorageDirectory
  ) throws(DigestError) -> DigestKey? {
    guard try storage({ () throws(IOError) in try directory.contains(name) }) else { return nil }
    let path = "\(directory.path)/\(name)"
    let bytes: [UInt8]
    do throws(IOError) {
      bytes = try directory.readFile(name, limitBytes: DigestLimits.keyFileBytes)
    } catch {
      guard error.kind == .limit else { throw DigestError(error) }
      throw damaged(path, "it is longer than \(DigestLimits.keyFileBytes) bytes")
    }
    return try decode(bytes, path: path)
  }

  /// Puts the key in place, durably and as a whole.
  public static func save(
    _ key: DigestKey, as name: String, in directory: any StorageDirectory
  ) throws(DigestError) {
    try storage { () throws(IOError) in try directory.replaceFile(name, with: encode(key)) }
  }

  static func encode(_ key: DigestKey) -> [UInt8] {
    var fields = HeaderFields(byteCount: DigestLimits.keyFileBytes)
    fields.put(magic, at: 0)
    fields.put(version, at: 8)
    fields.put(DigestMapFormat.algorithm, at: 12)
    fields.put(key.id, at: 16)
    fields.put(key.bytes, at: 32)
    return fields.sealed()
  }

  static func decode(_ bytes: [UInt8], path: String) throws(DigestError) -> DigestKey {
    guard bytes.count == DigestLimits.keyFileBytes else {
      throw damaged(path, "it has \(bytes.count) bytes instead of \(DigestLimits.keyFileBytes)")
    }
    guard let fields = HeaderFields(checking: bytes) else { throw damaged(path, "its checksum is wrong") }
    guard fields.slice(at: 0, count: 8) == magic else {
      throw damaged(path, "it does not start with VMRPLKEY")
    }
    guard fields.uint32(at: 8) == version, fields.uint32(at: 12) == DigestMapFormat.algorithm else {
      throw DigestError(
        .foreign, path,
        "key file version \(fields.uint32(at: 8)), algorithm \(fields.uint32(at: 12)); this program knows "
          + "1 and 1; use the version of vmrepl that wrote it")
    }
    guard fields.isZero(64..<96) else { throw damaged(path, "its reserved bytes are not zero") }
    return DigestKey(id: fields.identifier(at: 16), bytes: fields.slice(at: 32, count: 32))!
  }

  private static func damaged(_ path: String, _ found: String) -> DigestError {
    DigestError(
      .damaged, path,
      "the digest key cannot be used: \(found); the peer may still have the key, else remove the file "
        + "and every disk is read again")
  }
}
