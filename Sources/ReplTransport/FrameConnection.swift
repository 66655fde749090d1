import ReplIO
import ReplModel
import ReplProtocol
import ReplTLS
import Synchronization

/// An authenticated connection that carries frames. Any thread may send; one thread at a time receives.
public final class FrameConnection: Sendable {
  /// `address:port` of the other end.
  public let peerAddress: String
  /// Who the other end is.
  public let peer: PeerIdentity
  /// What it said of itself.
  public let remoteBanner: Banner
  /// The protocol version that both speak.
  public let protocolVersion: UInt16

  private let session: TLSSession
  private let outlet: FrameOutlet
  private let inlet: FrameInlet
  private let heartbeats = Mutex<Heartbeats?>(nil)

  /// TLS and banners over a connected socket.
  init(
    socket: ConnectedSocket, peerAddress: String, context: TLSContext, options: TransportOptions,
    deadline: Deadline
  ) throws(TransportError) {
    do throws(TLSError) {
      session = try TLSSession.handshake(socket: socket, context: context, deadline: deadline)
    } catch {
      throw TransportError(handshake: error, peer: peerAddress)
    }
    self.peerAddress = peerAddress
    peer = session.peer
    outlet = FrameOutlet(session: session, peer: peerAddress, options: options)
    inlet = FrameInlet(session: session, peer: peerAddress, options: options)
    do throws(TransportError) {
      try outlet.sendBanner(options.banner, deadline: deadline)
      remoteBanner = try inlet.receiveBanner(deadline: deadline)
      protocolVersion = try Self.agree(options, remoteBanner, peerAddress)
    } catch {
      // The peer must be able to read our banner even when we refuse its own: it is what it says on its side.
      session.close()
      throw error
    }
  }

  deinit { end { $0.interrupt() } }

  private static func agree(
    _ options: TransportOptions, _ remote: Banner, _ peer: String
  ) throws(TransportError) -> UInt16 {
    do throws(ProtocolError) {
      return try options.banner.agree(with: remote, as: options.program)
    } catch {
      throw TransportError(error, peer: peer)
    }
  }

  /// Dials, authenticates both sides and exchanges banners, all within `deadlineSeconds`. The name is
  /// looked up on the calling thread, where no deadline reaches.
  ///
  /// - Parameter attempt: lets another thread call the dial off.
  /// - Throws: `.unresolved`, `.unreachable`, `.tls`, `.frame` (another version), `.truncatedFrame`,
  ///   `.cut`, `.overdue`, `.sendTimedOut`, `.interrupted`.
  public static func connect(
    to target: HostPort, context: TLSContext, options: TransportOptions,
    deadlineSeconds: Double = ProtocolTimeouts.handshakeSeconds,
    attempt: ConnectionAttempt = ConnectionAttempt()
  ) throws(TransportError) -> FrameConnection {
    let deadline = Deadline(seconds: deadlineSeconds)
    let socket = try attempt.connect(to: target, deadline: deadline)
    return try FrameConnection(
      socket: socket, peerAddress: target.description, context: context, options: options, deadline: deadline)
  }

  /// Sends one frame: a header and the parts in order, gathered into as few writes as possible. Blocks
  /// while the peer does not take data; gives up when it takes none for the options' stall time.
  ///
  /// - Returns: the frame's sequence number.
  /// - Throws: `.frame` when the payload is over the limit of its type (nothing was sent, the connection
  ///   lives); `.sendTimedOut`, `.cut`, `.interrupted`, `.tls`: the connection cannot send any more.
  @discardableResult public func send(
    _ type: MessageType, _ parts: [UnsafeRawBufferPointer] = []
  ) throws(TransportError) -> UInt64 {
    try outlet.send(type, parts)
  }

  /// As above, with a payload in an array.
  @discardableResult public func send(
    _ type: MessageType, bytes: [UInt8]
  ) throws(TransportError) -> UInt64 {
    let result: Result<UInt64, TransportError> = bytes.withUnsafeBytes { buffer in
      do throws(TransportError) { return .success(try outlet.send(type, [buffer])) } catch {
        return .failure(error)
      }
    }
    return try result.get()
  }

  /// Waits for the next frame other than a heartbeat. Its payload is valid until the next call.
  ///
  /// - Parameters:
  ///   - idleSeconds: the longest silence; every byte, heartbeats included, starts it anew.
  ///   - deadline: by when the frame must be there whatever else comes; nil for none.
  /// - Throws: `.closedByPeer`, `.cut`, `.truncatedFrame`, `.idle`, `.overdue`, `.frame`, `.tls`,
  ///   `.interrupted`. The connection cannot receive any more after any of them.
  public func receive(
    idleSeconds: Double = ProtocolTimeouts.idleSeconds, deadline: Deadline? = nil
  ) throws(TransportError) -> Frame {
    try inlet.receive(idleSeconds: idleSeconds, deadline: deadline)
  }

  /// As `receive`, but answers nil for each heartbeat.
  public func receiveOrHeartbeat(
    idleSeconds: Double = ProtocolTimeouts.idleSeconds, deadline: Deadline? = nil
  ) throws(TransportError) -> Frame? {
    try inlet.receiveOrHeartbeat(idleSeconds: idleSeconds, deadline: deadline)
  }

  /// Sends a heartbeat every so often from now until the connection ends. To be called once, after the own
  /// hello.
  ///
  /// - Throws: `.interrupted` where the system has no thread for them.
  public func startHeartbeats(
    everySeconds: Double = ProtocolTimeouts.heartbeatSeconds
  ) throws(TransportError) {
    let outlet = self.outlet
    do throws(IOError) {
      try heartbeats.withLock { (heartbeats) throws(IOError) in
        precondition(heartbeats == nil, "heartbeats were started twice")
        heartbeats = try Heartbeats(everySeconds: everySeconds) { () throws(TransportError) in
          _ = try outlet.send(.heartbeat, [])
        }
      }
    } catch {
      throw TransportError(.interrupted, peer: peerAddress, "no signs of life can be sent: \(error)")
    }
  }

  /// Ends the connection with TLS's farewell and waits at most half a second for the peer's own end, so
  /// that what was sent last arrives. For the thread that receives. Calling it again is harmless.
  public func close() { end { $0.close() } }

  /// From any thread: ends the connection at once and wakes whoever sends or receives.
  public func interrupt() {
    session.interrupt()
    outlet.releasePace()
  }

  /// From any thread: data that waits for its turn goes out at once, and what follows. For a connection that
  /// is about to end, so that its end does not wait for a limit.
  public func releasePace() { outlet.releasePace() }

  /// How long `receive` has been waiting without any byte, heartbeats included; nil while nobody receives.
  /// From any thread.
  public var silentSeconds: Double? { inlet.silentSeconds }

  /// Bytes below TLS, handshake included.
  public var wireBytesSent: Int64 { session.wireBytesSent }

  /// Bytes below TLS, handshake included.
  public var wireBytesReceived: Int64 { session.wireBytesReceived }

  /// Order: no new heartbeat; the session ends, which wakes a heartbeat that is being written; its thread
  /// is joined.
  private func end(_ endSession: (TLSSession) -> Void) {
    let beating = heartbeats.withLock { heartbeats -> Heartbeats? in
      defer { heartbeats = nil }
      return heartbeats
    }
    beating?.stop()
    outlet.releasePace()
    endSession(session)
    beating?.join()
  }
}
