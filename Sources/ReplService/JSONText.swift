import FoundationEssentials

/// What commands print for `--json`.
public enum JSONText {
  /// Sorted and readable, keys in snake_case; no line feed behind the last.
  public static func encode(_ value: some Encodable) throws(StatusJSONError) -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
    encoder.keyEncodingStrategy = .convertToSnakeCase
    do { return String(decoding: try encoder.encode(value), as: UTF8.self) } catch {
      throw StatusJSONError(detail: "\(error)")
    }
  }
}
