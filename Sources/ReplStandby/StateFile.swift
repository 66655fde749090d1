import ReplIO
import ReplModel

/// A small JSON file of the state directory that the daemon and commands change: one at a time, by what
/// stands
/// in it then, and replaced atomically.
struct StateFile<Content: Codable & Equatable> {
  private struct Version: Decodable { let format: Int }

  private struct Envelope: Codable {
    let format: Int
    let content: Content
  }

  private static var lockSeconds: Double { 5 }

  let name: String
  let state: any StorageDirectory
  let limitBytes: Int
  let formatVersion: Int

  private var path: String { "\(state.path)/\(name)" }

  /// Nil where there is no file.
  func load() throws(StandbyError) -> Content? {
    let bytes = try storing { () throws(IOError) -> [UInt8]? in
      guard try state.contains(name) else { return nil }
      return try state.readFile(name, limitBytes: limitBytes)
    }
    guard let bytes else { return nil }
    guard let version: Version = RecordJSON.decode(bytes) else {
      throw .catalogDamaged(path: path, detail: "it is no JSON with a format")
    }
    guard version.format == formatVersion else {
      throw .newerFormat(path: path, found: version.format, supported: formatVersion)
    }
    guard let envelope: Envelope = RecordJSON.decode(bytes) else {
      throw .catalogDamaged(path: path, detail: "its content is not what it must be")
    }
    return envelope.content
  }

  /// Changes the file durably; answers what it held before.
  @discardableResult
  func update(
    empty: Content, _ change: (inout Content) throws(StandbyError) -> Void
  ) throws(StandbyError) -> Content {
    let lock = try lock()
    defer { withExtendedLifetime(lock) {} }
    let before = try load() ?? empty
    var content = before
    try change(&content)
    if content == before { return before }
    let bytes = try RecordJSON.encode(Envelope(format: formatVersion, content: content))
    try storing { () throws(IOError) in try state.replaceFile(name, with: bytes) }
    return before
  }

  private func lock() throws(StandbyError) -> FileLock {
    try StandbyStore.acquire("\(name).lock", in: state, waitSeconds: Self.lockSeconds)
  }
}
