import Glibc
import ReplIO

/// A connection that was not served, for the log. A flood makes many of these: whoever logs them limits the
/// rate.
public struct RefusedConnection: Sendable, CustomStringConvertible {
  /// Why it was not served.
  public enum Reason: Sendable {
    /// All places are taken.
    case overTotal(limit: Int)
    /// This address has as many connections as one may have.
    case overPerAddress(limit: Int)
    /// All places were taken, and this one had not authenticated yet: it gave way to a newer connection.
    case displaced
    /// TLS, authentication or banner failed.
    case failed(TransportError)
    /// The system could not give us the connection; `errno`.
    case system(Int32)
    /// There is no thread to serve it on.
    case noThread(IOError)
  }

  /// `address:port`; empty where the system did not tell.
  public let address: String
  /// Why it was not served.
  public let reason: Reason

  /// One line: who, why, and what to do where there is something to do.
  public var description: String {
    switch reason {
    case .overTotal(let limit): "\(address): refused: all \(limit) connections are in use"
    case .overPerAddress(let limit): "\(address): refused: this address has \(limit) connections already"
    case .displaced:
      "\(address): dropped before it authenticated: it gave way to a newer one, for all places are in use"
    case .failed(let error): error.description
    case .system(let code):
      "cannot accept connections: \(String(cString: strerror(code))): "
        + "raise the limit of open files (LimitNOFILE)"
    case .noThread(let error): "\(address): refused: \(error)"
    }
  }
}
