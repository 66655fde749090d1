import ReplModel
import ReplProtocol
import ReplTLS

/// What went wrong between two machines.
public struct TransportError: ActionableError, Hashable {
  /// The closed set of reasons.
  public enum Code: String, Sendable, CaseIterable {
    /// The host's name has no address.
    case unresolved
    /// No TCP connection to any of its addresses.
    case unreachable
    /// The local address cannot be listened on.
    case cannotListen
    /// TLS failed; `tlsError` says how.
    case tls
    /// The peer broke a rule of the wire protocol or speaks other versions; `protocolError` says how.
    case frame
    /// The stream ended inside a frame or banner.
    case truncatedFrame
    /// The connection was cut between two frames, without a farewell.
    case cut
    /// The peer closed the connection properly.
    case closedByPeer
    /// Nothing at all came for too long.
    case idle
    /// The peer lives (heartbeats come) but does not say what it must by now.
    case overdue
    /// The peer takes no data.
    case sendTimedOut
    /// This side closed or interrupted the connection.
    case interrupted
  }

  /// For code.
  public let code: Code
  /// The address that was dialled, or that the connection came from.
  public let peer: String
  /// A sentence for people: what was found, what was expected, the next step.
  public let detail: String
  /// What TLS said, where it was TLS that failed.
  public let tlsError: TLSError?
  /// The rule that was broken; its `number` is what the peer should be told.
  public let protocolError: ProtocolError?

  init(
    _ code: Code, peer: String, _ detail: String, tlsError: TLSError? = nil,
    protocolError: ProtocolError? = nil
  ) {
    self.code = code
    self.peer = SafeText.printable(peer)
    self.detail = detail
    self.tlsError = tlsError
    self.protocolError = protocolError
  }

  init(_ error: ProtocolError, peer: String) {
    if case .truncated = error {
      self.init(.truncatedFrame, peer: peer, error.description, protocolError: error)
    } else {
      self.init(.frame, peer: peer, error.description, protocolError: error)
    }
  }

  /// A failed handshake.
  init(handshake error: TLSError, peer: String) {
    let code: Code = error.code == .interrupted ? .interrupted : .tls
    self.init(code, peer: peer, error.detail, tlsError: error)
  }

  /// A broken connection means the same pass again; a broken rule is judged by its own remedy.
  public var remedy: Remedy {
    switch code {
    case .tls: tlsError?.remedy ?? .abandonPass
    case .frame: protocolError?.remedy ?? .abandonPass
    case .cannotListen: .stopVM
    case .unresolved, .unreachable, .truncatedFrame, .cut, .closedByPeer, .idle, .overdue, .sendTimedOut,
      .interrupted:
      .retryPass
    }
  }

  /// The detail with the address before it.
  public var description: String { "\(peer): \(detail)" }
}
