/// What a standby's descriptor keeps of the source's: the disk data base entries, in their order.
///
/// Keys are without `ddb.` (`adapterType`, `geometry.cylinders`, `uuid`); values without quotes. The reader
/// of the source takes only keys that are safe and useful to keep; the writer checks again.
public struct DiskFacts: Hashable, Sendable, Codable {
  /// One line of the disk data base.
  public struct Entry: Hashable, Sendable, Codable {
    public let key: String
    public let value: String
    public init(key: String, value: String) {
      self.key = key
      self.value = value
    }
  }

  public let entries: [Entry]

  public init(entries: [Entry]) { self.entries = entries }

  /// Keys compare without regard to case.
  public subscript(key: String) -> String? {
    entries.first { $0.key.lowercased() == key.lowercased() }?.value
  }
}
