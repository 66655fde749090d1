import FoundationEssentials
import ReplModel

extension Inspection {
  /// The document of `inspect --json`: keys in snake_case and sorted, what is not known left out, a line end
  /// at the end.
  public func json() throws(InspectionJSONError) -> [UInt8] {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
    encoder.keyEncodingStrategy = .convertToSnakeCase
    do { return Array(try encoder.encode(self)) + [UInt8(ascii: "\n")] } catch {
      throw InspectionJSONError(detail: "\(error)")
    }
  }
}

/// An inspection that cannot be written.
public struct InspectionJSONError: ActionableError, Hashable {
  public let detail: String

  init(detail: String) { self.detail = SafeText.printable(detail, limit: 512) }

  /// Replication does not depend on it.
  public var remedy: Remedy { .retryPass }

  public var description: String { "the inspection cannot be written as JSON (\(detail)): report this" }
}
