import ReplModel

/// The character set of a descriptor's file names.
enum DescriptorEncoding: Equatable {
  case utf8
  case windows1252
  /// One that is not read here: names of plain ASCII are the same in all of them.
  case other(String)

  init(_ name: String) {
    switch name.lowercased() {
    case "utf-8", "utf8", "us-ascii", "ascii": self = .utf8
    case "windows-1252", "cp1252", "iso-8859-1": self = .windows1252
    default: self = .other(name)
    }
  }

  /// Nil when the bytes make no text in this character set.
  func decode(_ bytes: ArraySlice<UInt8>) -> String? {
    switch self {
    case .utf8: String(validating: bytes, as: UTF8.self)
    case .windows1252: Windows1252.decode(bytes)
    case .other: bytes.allSatisfy { $0 < 0x80 } ? String(decoding: bytes, as: UTF8.self) : nil
    }
  }
}
