import ReplIO
import ReplModel

/// What went wrong with digests, maps, keys or their comparison.
public struct DigestError: ActionableError, Hashable {
  /// A closed set.
  public enum Code: Hashable, Sendable {
    /// There is no such file.
    case missing
    /// A checksum or a hash is wrong, or the file is too short: build it anew.
    case damaged
    /// The file belongs to another disk, size, page size, key or base, or to a newer version of this program.
    case foreign
    /// The map or delta is not in the state that the call needs.
    case wrongState
    /// Two roots that must be equal are not.
    case rootMismatch
    /// A peer's answer does not hash to what it must, or has the wrong size.
    case badAnswer
    /// A leaf, page, level or count outside the disk or over a limit.
    case outOfRange
    /// A write or sync failed earlier; what is on the disk is not known.
    case suspect
    /// libcrypto refused.
    case crypto
    /// The storage refused; see `cause`.
    case storage
  }

  /// What kind of failure it is; code asks this.
  public let code: Code
  /// The file or thing, for people.
  public let subject: String
  /// What was found, what was expected, the next step.
  public let detail: String
  /// The storage's own error, when there is one.
  public let cause: IOError?

  /// For views and stores of other modules as well, which answer with this error.
  public init(_ code: Code, _ subject: String, _ detail: String, cause: IOError? = nil) {
    self.code = code
    self.subject = SafeText.printable(subject, limit: 1024)
    self.detail = detail
    self.cause = cause
  }

  /// The storage's own error, with `missing` told apart.
  init(_ cause: IOError) {
    self.init(cause.isMissing ? .missing : .storage, cause.path, cause.description, cause: cause)
  }

  /// Maps are caches: nothing here stops a VM but a storage error that says so.
  public var remedy: Remedy { cause?.remedy ?? .abandonPass }

  /// One sentence.
  public var description: String {
    if let cause { return cause.description }
    return "\(subject): \(detail)"
  }
}

/// Runs a storage call and turns its error into this module's.
func storage<Value>(_ call: () throws(IOError) -> Value) throws(DigestError) -> Value {
  do throws(IOError) { return try call() } catch { throw DigestError(error) }
}
