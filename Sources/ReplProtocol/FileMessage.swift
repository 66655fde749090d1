import ReplModel

/// A file of the VM that travels whole.
public enum FileKind: String, Codable, Sendable, CaseIterable {
  case vmx, nvram

  /// The number on the wire.
  public var number: UInt8 { self == .vmx ? 1 : 2 }

  /// Nil when no kind has that number.
  public init?(number: UInt8) {
    guard let kind = Self.allCases.first(where: { $0.number == number }) else { return nil }
    self = kind
  }
}

/// The payload of `file`: one byte of kind, then the file. The offer names its SHA-256.
public enum FileMessage {
  /// Bytes before the file's own.
  public static let headerByteCount = 1

  /// What stands before the file's bytes.
  public static func encodePrefix(_ kind: FileKind) -> [UInt8] { [kind.number] }

  /// The kind, and the file's bytes inside `payload`.
  public static func decode(
    _ payload: UnsafeRawBufferPointer, limits: ProtocolLimits = .standard
  ) throws(ProtocolError) -> (kind: FileKind, contents: UnsafeRawBufferPointer) {
    let allowed = limits.payloadLengths(of: .file)
    guard allowed.contains(payload.count) else {
      throw .payloadLength(.file, found: payload.count, allowed: allowed)
    }
    guard let kind = FileKind(number: payload[0]) else {
      throw .value(.file, field: "kind", found: "\(payload[0])", expected: "1 (vmx) or 2 (nvram)")
    }
    return (kind, UnsafeRawBufferPointer(rebasing: payload[headerByteCount...]))
  }
}
