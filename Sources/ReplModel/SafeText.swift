/// Text from outside, made safe to print: control characters, escape sequences and direction overrides become
/// `?`, and the length is limited.
public enum SafeText {
  /// The text with at most `limit` characters and `…` where it was cut.
  public static func printable(_ text: some StringProtocol, limit: Int = 256) -> String {
    var result = String.UnicodeScalarView()
    var count = 0
    for scalar in text.unicodeScalars {
      guard count < limit else {
        result.append("…")
        break
      }
      result.append(isSafe(scalar) ? scalar : "?")
      count += 1
    }
    return String(result)
  }

  private static func isSafe(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.value {
    case 0..<0x20, 0x7F..<0xA0, 0x200B...0x200F, 0x2028...0x202E, 0x2066...0x2069, 0xFEFF: false
    default: true
    }
  }
}
