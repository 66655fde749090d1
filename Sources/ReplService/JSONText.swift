import FoundationEssentials
import ReplService

/// JSON for `--json`, sorted and readable.
enum JSONText {
  static func encode(_ value: some Encodable) throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
    encoder.keyEncodingStrategy = .convertToSnakeCase
    do { return String(decoding: try encoder.encode(value), as: UTF8.self) } catch {
      throw Failure.exit(.badData, "\(error)")
    }
  }
}
