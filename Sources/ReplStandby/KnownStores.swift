import ReplIO
import ReplModel

/// What a receiver remembers of its stores between its starts, in its state directory: which identity each
/// name had, so that another disk mounted in a store's place is not taken for it, and what its storage was
/// seen to do.
public struct KnownStores: Sendable, Hashable {
  /// One store.
  public struct Entry: Sendable, Hashable, Codable {
    public let store: StoreID
    public let path: String
    public let traits: StorageTraits?

    public init(store: StoreID, path: String, traits: StorageTraits?) {
      self.store = store
      self.path = path
      self.traits = traits
    }

    public init(from decoder: any Decoder) throws {
      let values = try decoder.container(keyedBy: CodingKeys.self)
      store = try values.decode(StoreID.self, forKey: .store)
      path = try values.decode(String.self, forKey: .path)
      // Those that another version of this program wrote are found out anew.
      traits = try? values.decodeIfPresent(StorageTraits.self, forKey: .traits)
    }
  }

  /// Some 600 bytes a store.
  private static let limitBytes = 1 << 20

  private static func file(in state: any StorageDirectory) -> StateFile<[String: Entry]> {
    StateFile(name: "stores.json", state: state, limitBytes: limitBytes, formatVersion: 1)
  }

  public private(set) var entries: [String: Entry] = [:]

  /// Nothing is known where there is no file.
  public static func load(from state: any StorageDirectory) throws(StandbyError) -> KnownStores {
    var known = KnownStores()
    known.entries = try file(in: state).load() ?? [:]
    return known
  }

  /// Throws `.otherStore` when the store of this name had another identity before.
  public func check(_ name: String, path: String, holds store: StoreID) throws(StandbyError) {
    guard let entry = entries[name], entry.store != store else { return }
    throw .otherStore(path: path, name: name, expected: entry.store, found: store)
  }

  /// Changes one entry durably, or removes it, by what stands in the file now. Answers what it was.
  @discardableResult
  public static func update(
    _ name: String, to entry: Entry?, in state: any StorageDirectory
  ) throws(StandbyError) -> Entry? {
    try file(in: state).update(empty: [:]) { (entries) throws(StandbyError) in entries[name] = entry }[name]
  }
}
