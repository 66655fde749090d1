import COpenSSL
import Glibc
import ReplIO
import ReplModel
import Synchronization

/// One TLS connection over one socket. One thread may read while another writes; `interrupt` may come from
/// any thread.
///
/// The lock is held for one record at a time and never while waiting for the network.
public final class TLSSession: @unchecked Sendable {
  // SAFETY: `ssl` and `bio` are touched only inside `lock`; `record` too, and not at all after the handshake.
  let ssl: OpaquePointer
  /// The socket's stream below TLS, owned by `ssl`; it counts the bytes.
  let bio: OpaquePointer
  let context: TLSContext
  let socket: ConnectedSocket
  let record: HandshakeRecord
  let lock = Mutex<State>(State())

  struct State {
    /// The first failure that ended each direction. After a broken TLS stream both are set; after a socket
    /// that takes no more bytes what has arrived can still be read.
    var readFailure: OpenSSLFailure?
    var writeFailure: OpenSSLFailure?
    /// Set by `close`: nothing is read or written from then on.
    var isClosed = false
    var bytesUnderThisKey: Int64 = 0
    var peer: PeerIdentity?
    var peerCertificate: PeerCertificate?
  }

  /// Bytes after which the sending key is changed; tests shorten it.
  let bytesPerSendingKey: Int64

  init(
    socket: ConnectedSocket, context: TLSContext, bytesPerSendingKey: Int64 = Limits.bytesPerSendingKey
  ) throws(TLSError) {
    OpenSSLFailure.clear()
    guard let ssl = SSL_new(context.handle) else {
      throw TLSError(.cryptography, "cannot start a TLS session: \(OpenSSLFailure.drain().text)")
    }
    guard let bio = BIO_new_socket(socket.descriptor, BIO_NOCLOSE) else {
      SSL_free(ssl)
      throw TLSError(.cryptography, "cannot start a TLS session: \(OpenSSLFailure.drain().text)")
    }
    SSL_set_bio(ssl, bio, bio)
    self.ssl = ssl
    self.bio = bio
    self.context = context
    self.socket = socket
    self.bytesPerSendingKey = bytesPerSendingKey
    record = HandshakeRecord(policy: context.policy)
    SSL_set_ex_data(ssl, 0, Unmanaged.passUnretained(record).toOpaque())
  }

  deinit { SSL_free(ssl) }

  /// Who is at the other end.
  public var peer: PeerIdentity { lock.withLock { $0.peer! } }

  /// What it showed.
  public var peerCertificate: PeerCertificate { lock.withLock { $0.peerCertificate! } }

  /// Bytes that went into the socket: records, handshake and alerts included.
  public var wireBytesSent: Int64 { lock.withLock { _ in Int64(clamping: BIO_number_written(bio)) } }

  /// Bytes that came out of the socket: records, handshake and alerts included.
  public var wireBytesReceived: Int64 { lock.withLock { _ in Int64(clamping: BIO_number_read(bio)) } }

  /// Waits for data and answers how many bytes it put into `buffer`, at least 1; 0 is the peer's farewell
  /// (close_notify).
  ///
  /// - Throws: `.truncated` when the stream ends without a farewell, `.timedOut`, `.interrupted`,
  ///   `.connectionLost`, `.refusedByPeer` on the first read of a client whose certificate the server
  ///   refuses (in TLS 1.3 the client's handshake is over before the server has looked).
  public func read(into buffer: UnsafeMutableRawBufferPointer, deadline: Deadline) throws(TLSError) -> Int {
    precondition(buffer.count > 0, "reading into an empty buffer")
    var count = 0
    let outcome = try perform(.read, deadline) { _ in
      SSL_read_ex(ssl, buffer.baseAddress, buffer.count, &count)
    }
    return outcome == .done ? count : 0
  }

  /// Writes all of `buffer`. After any error the session is of no more use for writing.
  ///
  /// - Throws: `.timedOut` when the peer did not take the bytes by the deadline, and as for `read`.
  public func write(_ buffer: UnsafeRawBufferPointer, deadline: Deadline) throws(TLSError) {
    var done = 0
    while done < buffer.count {
      var count = 0
      let outcome = try perform(.write, deadline) { state in
        changeKeyIfDue(&state)
        let result = SSL_write_ex(ssl, buffer.baseAddress! + done, buffer.count - done, &count)
        state.bytesUnderThisKey += Int64(count)
        return result
      }
      guard outcome == .done else { throw TLSError(.connectionLost, "the peer has closed the connection") }
      done += count
    }
  }

  /// From any thread: ends the connection without a farewell and wakes whoever waits on it.
  public func interrupt() { socket.interrupt() }

  /// Says farewell (close_notify), waits at most half a second for the peer's own end so that our last
  /// bytes arrive, and ends the connection. For the thread that reads; another thread calls `interrupt`. A
  /// second call does nothing.
  public func close() {
    let mayLinger = lock.withLock { state -> Bool in
      guard !state.isClosed else { return false }
      state.isClosed = true
      guard state.readFailure == nil, state.writeFailure == nil, !socket.isInterrupted else { return false }
      OpenSSLFailure.clear()
      // Not retried when the socket is full: a peer that does not read gets no farewell.
      SSL_shutdown(ssl)
      OpenSSLFailure.clear()
      return true
    }
    if mayLinger { socket.linger(seconds: Limits.lingerSeconds, limitBytes: Limits.lingerBytes) }
    socket.interrupt()
  }

  private func changeKeyIfDue(_ state: inout State) {
    guard state.bytesUnderThisKey >= bytesPerSendingKey else { return }
    // Refused while a record is half written: then the next one does it.
    if SSL_key_update(ssl, SSL_KEY_UPDATE_NOT_REQUESTED) == 1 { state.bytesUnderThisKey = 0 }
    OpenSSLFailure.clear()
  }
}
