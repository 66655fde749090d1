import ReplIO
import ReplModel

/// The VMX and NVRAM files of all kept points, each once, known by the hash of its content.
struct SourceFiles {
  /// What is here under a hash.
  enum Held {
    case bytes([UInt8])
    case missing
    /// There is a file, and it is not what its name says.
    case damaged(path: String)
  }

  /// `.repl/files`.
  let directory: any StorageDirectory
  /// `.repl`, where format 1 kept the newest point's files under fixed names.
  let privateDirectory: any StorageDirectory

  /// The file with this content.
  func find(_ hash: Hash256, _ file: SourceFile) throws(StandbyError) -> Held {
    let (name, legacy) = (Self.name(hash), StandbyLayout.source(file))
    var result = Held.missing
    for (place, name) in [(directory, name), (privateDirectory, legacy)] {
      guard let bytes = try Self.read(name, in: place) else { continue }
      if sourceHash(bytes) == hash { return .bytes(bytes) }
      // Under a fixed name there is another point's file, which is no damage.
      if place === directory { result = .damaged(path: "\(place.path)/\(name)") }
    }
    return result
  }

  /// The file with this content, or an error that says what is wrong.
  func require(_ hash: Hash256, _ file: SourceFile) throws(StandbyError) -> [UInt8] {
    switch try find(hash, file) {
    case .bytes(let bytes): return bytes
    case .missing:
      throw .damagedFile(file, detail: "the kept copy \(directory.path)/\(Self.name(hash)) is gone")
    case .damaged(let path): throw .damagedFile(file, detail: "the kept copy \(path) is damaged")
    }
  }

  func holds(_ hash: Hash256, _ file: SourceFile) throws(StandbyError) -> Bool {
    if case .bytes = try find(hash, file) { true } else { false }
  }

  /// Keeps the bytes, durably.
  func keep(_ bytes: [UInt8], _ hash: Hash256) throws(StandbyError) {
    try storing { () throws(IOError) in try directory.replaceFile(Self.name(hash), with: bytes) }
  }

  /// Removes every file that is none of `hashes`. Not synced: one that comes back is of no use and harms
  /// nothing.
  func removeAll(but hashes: Set<Hash256>) throws(StandbyError) {
    let wanted = Set(hashes.map(Self.name))
    try storing { () throws(IOError) in
      for name in try directory.entryNames() where !wanted.contains(name) { try directory.removeFile(name) }
    }
  }

  private static func read(
    _ name: String, in directory: any StorageDirectory
  ) throws(StandbyError) -> [UInt8]? {
    try storing { () throws(IOError) in
      guard try directory.contains(name) else { return nil }
      return try directory.readFile(name, limitBytes: Limits.sourceFileBytes)
    }
  }

  private static func name(_ hash: Hash256) -> String { HexText.encode(hash.bytes) }
}
