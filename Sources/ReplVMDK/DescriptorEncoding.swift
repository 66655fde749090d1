import ReplIO
import ReplModel

/// The character set of a descriptor's file names.
enum DescriptorEncoding: Equatable {
  case utf8
  case windows1252
  /// One that the C library knows.
  case converted(CharacterSet, label: String)
  /// One that nobody knows: names of plain ASCII are the same in all of them.
  case unknown(String)

  enum Failure: Error {
    case undecodable
    case unknownEncoding(String)
  }

  init(_ name: String) {
    switch name.lowercased() {
    case "utf-8", "utf8", "us-ascii", "ascii": self = .utf8
    case "windows-1252", "cp1252", "iso-8859-1": self = .windows1252
    default: self = CharacterSet(label: name).map { .converted($0, label: name) } ?? .unknown(name)
    }
  }

  func decode(_ bytes: ArraySlice<UInt8>) throws(Failure) -> String {
    let text: String?
    switch self {
    case .utf8: text = String(validating: bytes, as: UTF8.self)
    case .windows1252: text = Windows1252.decode(bytes)
    case .unknown(let label):
      guard bytes.allSatisfy({ $0 < 0x80 }) else { throw .unknownEncoding(label) }
      text = String(decoding: bytes, as: UTF8.self)
    case .converted(let set, let label):
      if bytes.allSatisfy({ $0 < 0x80 }) { return String(decoding: bytes, as: UTF8.self) }
      do throws(CharacterSet.Failure) { text = try set.decode(bytes) } catch {
        throw error == .unavailable ? .unknownEncoding(label) : .undecodable
      }
    }
    guard let text else { throw .undecodable }
    return text
  }

  /// A name with its bytes where those are not the UTF-8 of its text.
  func name(_ bytes: ArraySlice<UInt8>) throws(Failure) -> EncodedName {
    let text = try decode(bytes)
    return EncodedName(text: text, raw: text.utf8.elementsEqual(bytes) ? nil : Array(bytes))
  }

  /// As `name`, with the sentence for people.
  func name(
    _ bytes: ArraySlice<UInt8>, in path: String, line: Int
  ) throws(VMDKError) -> EncodedName {
    do throws(Failure) { return try name(bytes) } catch {
      switch error {
      case .undecodable:
        throw VMDKError(
          .undecodableName, path, .line(line), "the file name is not valid in the descriptor's encoding")
      case .unknownEncoding(let label):
        throw VMDKError(
          .unknownEncoding, path, .line(line),
          "encoding \"\(SafeText.printable(label, limit: 32))\" is not known here, so only names of plain"
            + " ASCII are read: rename the disk")
      }
    }
  }
}

/// A file name of a descriptor.
struct EncodedName: Hashable {
  let text: String
  /// The bytes that stand there, when they are not the UTF-8 of `text`.
  let raw: [UInt8]?
}
