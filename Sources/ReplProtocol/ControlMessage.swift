import FoundationEssentials
import ReplModel

/// A message whose payload is one JSON object. WireProtocol.md lists the members and their limits.
///
/// Reading always ends with `validate`, so a decoded value keeps the rules that need no other message.
public protocol ControlMessage: Codable, Sendable {
  static var type: MessageType { get }
  /// Throws when a value is outside its limits. Also called before sending.
  func validate(_ limits: ProtocolLimits) throws(ProtocolError)
}

extension ControlMessage {
  /// The payload; members in alphabetical order.
  public func encode(limits: ProtocolLimits = .standard) throws(ProtocolError) -> [UInt8] {
    try validate(limits)
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    do {
      let bytes = [UInt8](try encoder.encode(self))
      let allowed = limits.payloadLengths(of: Self.type)
      guard allowed.contains(bytes.count) else {
        throw ProtocolError.payloadLength(Self.type, found: bytes.count, allowed: allowed)
      }
      return bytes
    } catch let error as ProtocolError {
      throw error
    } catch {
      throw .json(Self.type, detail: SafeText.printable("\(error)"))
    }
  }

  /// Reads a payload. Length, encoding and nesting are checked on the bytes before they are parsed.
  public static func decode(
    _ bytes: UnsafeRawBufferPointer, limits: ProtocolLimits = .standard
  ) throws(ProtocolError) -> Self {
    let allowed = limits.payloadLengths(of: type)
    guard allowed.contains(bytes.count) else {
      throw .payloadLength(type, found: bytes.count, allowed: allowed)
    }
    try JSONShape.check(bytes, type, maximumDepth: limits.jsonDepth)
    let message: Self
    do {
      message = try JSONDecoder().decode(Self.self, from: Data(bytes))
    } catch let error as ProtocolError {
      throw error
    } catch let error as DecodingError {
      throw .json(type, detail: JSONShape.describe(error))
    } catch {
      throw .json(type, detail: SafeText.printable("\(error)"))
    }
    try message.validate(limits)
    return message
  }

  /// Reads a payload.
  public static func decode(
    _ bytes: [UInt8], limits: ProtocolLimits = .standard
  ) throws(ProtocolError) -> Self {
    try bytes.withRawBytes { (raw) throws(ProtocolError) in try decode(raw, limits: limits) }
  }

  /// Throws `.value` unless the condition holds. `found` may be the peer's text: it is made printable.
  func require(
    _ condition: Bool, _ field: @autoclosure () -> String, _ found: @autoclosure () -> String,
    expected: @autoclosure () -> String
  ) throws(ProtocolError) {
    guard !condition else { return }
    throw .value(
      Self.type, field: field(), found: SafeText.printable(found(), limit: 80), expected: expected())
  }

  func requireName(
    _ name: String, _ field: @autoclosure () -> String, _ limits: ProtocolLimits
  ) throws(ProtocolError) {
    let length = name.utf8.count
    try require(
      (1...limits.nameBytes).contains(length), field(), "\(length) bytes",
      expected: "1 to \(limits.nameBytes)")
  }

  /// A disk index, before it is used to index anything.
  func requireDisk(_ index: Int, in count: Int) throws(ProtocolError) {
    try require(index >= 0 && index < count, "disk", "\(index)", expected: "an index below \(count)")
  }
}
