import ReplIO
import ReplModel

/// The file that makes a directory a store. An empty mount point has none, so nothing is ever created in it.
struct StoreIdentity: Codable, Sendable {
  static let formatVersion = 1

  let format: Int
  let store: StoreID
  let createdAt: WallTime

  static func load(from root: any StorageDirectory) throws(StandbyError) -> StoreIdentity? {
    let path = "\(root.path)/\(StandbyLayout.storeFile)"
    let bytes = try storing { () throws(IOError) -> [UInt8]? in
      guard try root.contains(StandbyLayout.storeFile) else { return nil }
      return try root.readFile(StandbyLayout.storeFile, limitBytes: 4096)
    }
    guard let bytes else { return nil }
    struct Version: Decodable { let format: Int }
    guard let version: Version = RecordJSON.decode(bytes) else {
      throw .catalogDamaged(path: path, detail: "not the identity of a store")
    }
    guard version.format == formatVersion else {
      throw .newerFormat(path: path, found: version.format, supported: formatVersion)
    }
    guard let identity: StoreIdentity = RecordJSON.decode(bytes) else {
      throw .catalogDamaged(path: path, detail: "not the identity of a store")
    }
    return identity
  }

  func save(in root: any StorageDirectory) throws(StandbyError) {
    let bytes = try RecordJSON.encode(self)
    try storing { () throws(IOError) in try root.replaceFile(StandbyLayout.storeFile, with: bytes) }
  }
}
