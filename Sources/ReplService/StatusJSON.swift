import FoundationEssentials
import ReplModel

/// A status document as JSON: the answer of `/status` and of `status --json`.
///
/// Keys are in snake_case and sorted; every VM has a computed `lag_seconds` once it has a recovery point, and
/// `rpo_breach_in_seconds` while it has a forecast: negative when the objective is missed already.
public enum StatusJSON {
  /// `now` is the moment for the computed values. `isCompact`: without line feeds and blanks, for programs.
  public static func encode(
    _ document: StatusDocument, now: WallTime, isCompact: Bool = false
  ) throws(StatusJSONError) -> [UInt8] {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    if !isCompact { encoder.outputFormatting.insert(.prettyPrinted) }
    encoder.keyEncodingStrategy = .convertToSnakeCase
    do {
      return Array(try encoder.encode(Shown(document: document, now: now))) + [UInt8(ascii: "\n")]
    } catch {
      throw StatusJSONError(detail: "\(error)")
    }
  }

  /// Reads what `encode` writes; computed and unknown keys are skipped.
  public static func decode(_ bytes: [UInt8]) throws(StatusJSONError) -> StatusDocument {
    guard bytes.count <= ServiceLimits.statusBytes else {
      throw StatusJSONError(detail: "\(bytes.count) bytes, at most \(ServiceLimits.statusBytes) are allowed")
    }
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    do {
      return try bytes.withUnsafeBytes { buffer in
        try decoder.decode(StatusDocument.self, from: Data(buffer))
      }
    } catch {
      throw StatusJSONError(detail: "\(error)")
    }
  }

  /// The document with the computed values.
  private struct Shown: Encodable {
    let document: StatusDocument
    let now: WallTime

    enum Key: CodingKey { case vms }

    func encode(to encoder: any Encoder) throws {
      try document.encode(to: encoder)
      var container = encoder.container(keyedBy: Key.self)
      try container.encode(document.vms.map { ShownVM(vm: $0, now: now) }, forKey: .vms)
    }
  }

  private struct ShownVM: Encodable {
    let vm: VMStatus
    let now: WallTime

    enum Key: CodingKey { case lagSeconds, rpoBreachInSeconds }

    func encode(to encoder: any Encoder) throws {
      try vm.encode(to: encoder)
      var container = encoder.container(keyedBy: Key.self)
      try container.encodeIfPresent(vm.lagSeconds(now: now), forKey: .lagSeconds)
      let breach = vm.rpoForecast?.breachAt.map {
        Double($0.millisecondsSince1970 - now.millisecondsSince1970) / 1000
      }
      try container.encodeIfPresent(breach, forKey: .rpoBreachInSeconds)
    }
  }
}

/// A status document that cannot be written or read.
public struct StatusJSONError: ActionableError, Hashable {
  public let detail: String

  init(detail: String) { self.detail = SafeText.printable(detail, limit: 512) }

  /// Replication does not depend on status.
  public var remedy: Remedy { .retryPass }

  public var description: String {
    "the status document is not what this version writes (\(detail)); are both programs of the same version?"
  }
}
