import ReplModel

/// The line that each side sends first: which product this is and which protocol versions it speaks.
public struct Banner: Hashable, Sendable {
  /// Bytes with the newline.
  public static let maximumByteCount = 128
  /// The versions of this program.
  public static let spokenVersions: ClosedRange<UInt16> = 1...1

  /// The two programs, for messages to people.
  public enum Program: String, Sendable {
    case sender, receiver
  }

  /// `0.1.0`: 1 to 64 characters of a closed set, so that it is safe to print.
  public let product: String
  /// The oldest protocol version spoken.
  public let minimumVersion: UInt16
  /// The newest protocol version spoken.
  public let maximumVersion: UInt16

  /// Nil when the product version or the range does not fit the grammar.
  public init?(product: String, versions: ClosedRange<UInt16> = Banner.spokenVersions) {
    guard Self.isProduct(product), versions.lowerBound >= 1 else { return nil }
    self.product = product
    minimumVersion = versions.lowerBound
    maximumVersion = versions.upperBound
  }

  var rangeText: String { "\(minimumVersion)-\(maximumVersion)" }

  /// The line with its newline.
  public func encode() -> [UInt8] { Array("vmrepl \(product) protocol \(rangeText)\n".utf8) }

  /// Reads the line at the front of what has arrived: the banner and how many bytes it took, or nil when the
  /// newline is still missing. Throws as soon as the bytes cannot become a banner.
  public static func parse(
    prefix bytes: UnsafeRawBufferPointer
  ) throws(ProtocolError) -> (banner: Banner, byteCount: Int)? {
    let head = bytes.prefix(maximumByteCount)
    guard let newline = head.firstIndex(of: UInt8(ascii: "\n")) else {
      guard head.count < maximumByteCount, zip(head, "vmrepl ".utf8).allSatisfy({ $0 == $1 }) else {
        throw notABanner(head)
      }
      return nil
    }
    guard let banner = Banner(line: head[..<newline]) else { throw notABanner(head) }
    return (banner, newline + 1)
  }

  /// The newest version that both speak. `program` is the one that runs this code.
  public func agree(with remote: Banner, as program: Program) throws(ProtocolError) -> UInt16 {
    let version = min(maximumVersion, remote.maximumVersion)
    guard version >= minimumVersion, version >= remote.minimumVersion else {
      throw program == .sender
        ? .noCommonVersion(sender: self, receiver: remote)
        : .noCommonVersion(sender: remote, receiver: self)
    }
    return version
  }

  static func isProduct(_ text: String) -> Bool {
    (1...64).contains(text.utf8.count)
      && text.utf8.allSatisfy { byte in
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "z"),
          UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "+"),
          UInt8(ascii: "~"), UInt8(ascii: "-"):
          true
        default: false
        }
      }
  }

  private init?(line: Slice<UnsafeRawBufferPointer>) {
    let words = String(decoding: line, as: UTF8.self).split(separator: " ", omittingEmptySubsequences: false)
    guard words.count == 4, words[0] == "vmrepl", words[2] == "protocol" else { return nil }
    let ends = words[3].split(separator: "-", omittingEmptySubsequences: false)
    guard ends.count == 2, let low = Self.number(ends[0]), let high = Self.number(ends[1]), low <= high
    else { return nil }
    self.init(product: String(words[1]), versions: low...high)
  }

  private static func number(_ digits: Substring) -> UInt16? {
    guard (1...5).contains(digits.utf8.count), digits.utf8.first != UInt8(ascii: "0") else { return nil }
    guard digits.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }) else { return nil }
    return UInt16(digits)
  }

  private static func notABanner(_ bytes: Slice<UnsafeRawBufferPointer>) -> ProtocolError {
    .notABanner(found: SafeText.printable(String(decoding: bytes, as: UTF8.self), limit: 60))
  }
}
