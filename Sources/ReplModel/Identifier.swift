/// A 128-bit identity, typed by what it names, so that a disk's identity can never be passed for a VM's.
///
/// Text form: 32 lower-case hex digits in the groups 8-4-4-4-12 (RFC 9562), the form in files, logs and on
/// the wire.
public struct Identifier<Kind>: Hashable, Sendable {
  public let high: UInt64
  public let low: UInt64

  public init(high: UInt64, low: UInt64) {
    self.high = high
    self.low = low
  }

  /// A fresh random identity (RFC 9562 version 4).
  public static func random() -> Self {
    var generator = SystemRandomNumberGenerator()
    return random(using: &generator)
  }

  /// As `random()`, from a given source, for tests with a seed.
  public static func random(using generator: inout some RandomNumberGenerator) -> Self {
    let high = (generator.next() as UInt64) & ~0xF000 | 0x4000
    let low = (generator.next() as UInt64) & (UInt64.max >> 2) | (1 << 63)
    return Self(high: high, low: low)
  }

  /// Reads any spelling with exactly 32 hex digits; blanks and dashes between them are skipped, which covers
  /// VMware's `56 4d ef 2d 3f d4 14 e2-2e 04 c5 34 3a ec ee 65` as well.
  public init?(_ text: some StringProtocol) {
    guard let (high, low) = HexText.parse128(text) else { return nil }
    self.init(high: high, low: low)
  }

  /// Sixteen bytes, most significant first.
  public var bytes: [UInt8] { HexText.bigEndianBytes(high) + HexText.bigEndianBytes(low) }
}

extension Identifier: CustomStringConvertible {
  public var description: String {
    let digits = Array(HexText.encode(bytes))
    let groups = [digits[0..<8], digits[8..<12], digits[12..<16], digits[16..<20], digits[20..<32]]
    return groups.map { String($0) }.joined(separator: "-")
  }
}

extension Identifier: Comparable {
  public static func < (left: Self, right: Self) -> Bool { (left.high, left.low) < (right.high, right.low) }
}

extension Identifier: Codable {
  public init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    let text = try container.decode(String.self)
    guard text.utf8.count <= 64, let value = Self(text) else {
      throw DecodingError.dataCorruptedError(in: container, debugDescription: "not a 128-bit identity")
    }
    self = value
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(description)
  }
}

/// What each identity names. The enums have no cases: they exist only as type parameters.
public enum IdentityOf {
  public enum VM {}
  public enum Disk {}
  public enum Pass {}
  public enum View {}
  public enum Receiver {}
  public enum Store {}
  public enum Key {}
}

/// A replicated machine. Taken from the VM's own `uuid.bios` / `vc.uuid`, never from a name or path.
public typealias VMID = Identifier<IdentityOf.VM>
/// One virtual disk of a VM.
public typealias DiskID = Identifier<IdentityOf.Disk>
/// One attempt to bring a standby to a new point in time.
public typealias PassID = Identifier<IdentityOf.Pass>
/// One frozen, readable state of all disks of a VM.
public typealias ViewID = Identifier<IdentityOf.View>
/// One installation of `repl-receiver`.
public typealias ReceiverID = Identifier<IdentityOf.Receiver>
/// One configured place for standby disks.
public typealias StoreID = Identifier<IdentityOf.Store>
/// One digest key.
public typealias KeyID = Identifier<IdentityOf.Key>
