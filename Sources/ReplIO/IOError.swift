import Glibc
import ReplModel

/// A failed operation on a file or directory: what was tried, on what, where, and why it failed.
public struct IOError: ActionableError, Hashable {
  /// Why it failed.
  public enum Kind: Hashable, Sendable {
    /// The system refused; the value is `errno`.
    case system(Int32)
    /// Fewer bytes were there than the caller must have.
    case unexpectedEnd
    /// The bytes do not make sense (a damaged image, a wrong checksum).
    case damaged
    /// A name that is not a plain name, or leaves its directory.
    case refusedName
    /// Not the kind of file that is expected here (a link, a device, a FIFO, a file with two names).
    case wrongFileType
    /// A limit of this program was reached.
    case limit
  }

  public let kind: Kind
  /// A verb: `open`, `read`, `sync`.
  public let operation: String
  /// For people; made printable.
  public let path: String
  public let offsetBytes: Int64?
  public let detail: String?

  public init(
    _ kind: Kind, _ operation: String, path: String, offsetBytes: Int64? = nil, detail: String? = nil
  ) {
    self.kind = kind
    self.operation = operation
    self.path = SafeText.printable(path, limit: 1024)
    self.offsetBytes = offsetBytes
    self.detail = detail
  }

  /// The error of a call that just failed; reads `errno`, so it must be the first thing done.
  public static func current(_ operation: String, path: String, offsetBytes: Int64? = nil) -> IOError {
    IOError(.system(errno), operation, path: path, offsetBytes: offsetBytes)
  }

  public var systemCode: Int32? { if case .system(let code) = kind { code } else { nil } }
  public var isMissing: Bool { systemCode == ENOENT }
  public var isOutOfSpace: Bool { systemCode == ENOSPC || systemCode == EDQUOT }

  public var remedy: Remedy {
    switch kind {
    case .refusedName, .wrongFileType: .stopVM
    case .system, .unexpectedEnd, .damaged, .limit: .abandonPass
    }
  }

  public var description: String {
    var text = "\(path): \(operation) failed"
    if let offsetBytes { text += " at byte \(offsetBytes)" }
    switch kind {
    case .system(let code): text += ": \(String(cString: strerror(code)))"
    case .unexpectedEnd: text += ": the file ends too early"
    case .damaged: text += ": the content is damaged"
    case .refusedName: text += ": the name is not allowed here"
    case .wrongFileType:
      text += detail == nil ? ": it is no plain file" : ": it is not of the kind that belongs here"
    case .limit: text += ": over the limit"
    }
    if let detail { text += ": \(detail)" }
    return text
  }
}
