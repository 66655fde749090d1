import ReplModel

/// Ends the session because of a fault: a number for code, a text for people.
public struct ErrorMessage: ControlMessage, Hashable {
  public static let type = MessageType.error

  /// May be a number that this version does not know: remedy `abandon`.
  public let number: UInt16
  /// Printable and cut to the limit, whatever the peer sent.
  public let text: String
  /// 0 to a day.
  public let retryAfterSeconds: Int?

  /// The text is made printable and cut.
  public init(_ number: ErrorNumber, text: String, retryAfterSeconds: Int? = nil) {
    self.number = number.rawValue
    self.text = Self.printable(text)
    self.retryAfterSeconds = retryAfterSeconds.map(Self.bounded)
  }

  /// What to tell the peer about a fault that this side found.
  public init(_ error: ProtocolError) { self.init(error.number, text: error.description) }

  /// Values outside their limits are cut, not refused: a refusal would hide what the peer has to say.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    number = try container.decode(UInt16.self, forKey: .number)
    text = Self.printable(try container.decode(String.self, forKey: .text))
    retryAfterSeconds = try container.decodeIfPresent(Int.self, forKey: .retryAfterSeconds).map(Self.bounded)
  }

  enum CodingKeys: String, CodingKey { case number, text, retryAfterSeconds }

  public func validate(_ limits: ProtocolLimits) throws(ProtocolError) {}

  /// The number as this version knows it.
  public var known: ErrorNumber? { ErrorNumber(rawValue: number) }
  /// What the reader does with its pass.
  public var remedy: Remedy { known?.remedy ?? .abandonPass }
  /// To be thrown by the reader.
  public var error: ProtocolError {
    .peer(number: number, text: text, retryAfterSeconds: retryAfterSeconds)
  }

  private static func printable(_ text: String) -> String {
    SafeText.printable(text, limit: ProtocolLimits.standard.errorTextCharacters)
  }

  private static func bounded(_ seconds: Int) -> Int {
    min(max(0, seconds), ProtocolLimits.standard.retryAfterSeconds)
  }
}

/// Ends the session in good order.
public struct Goodbye: ControlMessage, Hashable {
  public static let type = MessageType.goodbye

  /// Printable and cut to the limit, whatever the peer sent.
  public let reason: String?

  public init(reason: String? = nil) { self.reason = reason.map(Self.printable) }

  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    reason = try container.decodeIfPresent(String.self, forKey: .reason).map(Self.printable)
  }

  enum CodingKeys: String, CodingKey { case reason }

  public func validate(_ limits: ProtocolLimits) throws(ProtocolError) {}

  private static func printable(_ text: String) -> String {
    SafeText.printable(text, limit: ProtocolLimits.standard.reasonCharacters)
  }
}
