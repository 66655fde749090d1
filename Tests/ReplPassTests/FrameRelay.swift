import Glibc
import ReplIO
import ReplModel
import ReplProtocol
import ReplTLS
import ReplTestKit
import Synchronization

/// Stands between the sender and the receiver of a `Pair` with the keys of both: sees every frame in the
/// clear and may change it, send others in its place, or end the connection at any byte of it. What bad
/// memory, a bug or a compromised peer can do although TLS is content.
final class FrameRelay: Sendable {
  enum Way: String, Sendable, CaseIterable { case toTarget, toSource }

  /// A frame on its way. `number` counts from 0 on each connection and way; heartbeats are left out.
  struct Passing: Sendable {
    let way: Way
    let number: Int
    let type: MessageType
    /// From 0 within its type: the number of batches before a commit differs from pass to pass, for two
    /// threads share what changed.
    let ordinal: Int
    let payload: [UInt8]

    /// Whether this is what `other` was on another connection.
    func isLike(_ other: Passing) -> Bool {
      way == other.way && type == other.type && ordinal == other.ordinal
    }
  }

  /// How a connection is ended.
  enum Ending: String, Sendable, CaseIterable {
    /// Both ends see FIN without TLS's farewell.
    case cut
    /// Both ends see TLS's farewell.
    case farewell
  }

  /// What is sent instead of a frame.
  enum Answer: Sendable {
    case pass
    /// Numbered by the relay, so that the sequence is right.
    case send([(MessageType, [UInt8])])
    /// As they are.
    case raw([UInt8])
    /// These bytes, and then the end of both connections.
    case end([UInt8], Ending)
  }

  typealias Tamper = @Sendable (Passing) -> Answer

  private struct State {
    var tamper: Tamper = { _ in .pass }
    var banner: @Sendable (Way, [UInt8]) -> [UInt8] = { $1 }
    var seen: [Passing] = []
    var isStopped = false
    var open: [TLSSession] = []
  }

  let port: UInt16
  private let listening: Int32
  private let target: UInt16
  private let near: TLSContext
  private let far: TLSContext
  private let state = Mutex(State())

  init(_ pair: Pair) throws {
    (target, near, far) = (pair.port, pair.serverTLS, pair.tls)
    listening = LoopbackSocket.open()
    guard let port = LoopbackSocket.listen(listening) else {
      throw IOError.current("listen", path: "127.0.0.1")
    }
    self.port = port
    _ = NamedThread.start("relay-accept") { [self] in acceptAll() }
  }

  /// From now on; every frame passes when nil. Forgets what was seen.
  func tamper(_ tamper: Tamper?) {
    state.withLock { ($0.tamper, $0.seen) = (tamper ?? { _ in .pass }, []) }
  }

  /// Changes the lines before the first frames.
  func tamperBanner(_ banner: @escaping @Sendable (Way, [UInt8]) -> [UInt8]) {
    state.withLock { $0.banner = banner }
  }

  /// The frames that came since `tamper`, as they came, without heartbeats.
  var seen: [Passing] { state.withLock { $0.seen } }

  func stop() {
    let open = state.withLock { state in
      state.isStopped = true
      return state.open
    }
    shutdown(listening, Int32(SHUT_RDWR))
    for session in open { session.interrupt() }
  }

  private func acceptAll() {
    defer { close(listening) }
    while true {
      let client = accept(listening, nil, nil)
      guard client >= 0 else { return }
      LoopbackSocket.setNoDelay(client)
      _ = NamedThread.start("relay") { [self] in
        // A peer that is gone already has nothing to say.
        do { try relay(client) } catch { return }
      }
    }
  }

  private func relay(_ client: Int32) throws {
    let deadline = Deadline(seconds: 10)
    let source = try TLSSession.handshake(socket: client, context: near, deadline: deadline)
    let upstream = LoopbackSocket.open()
    guard LoopbackSocket.connect(upstream, to: self.target) else { return source.interrupt() }
    LoopbackSocket.setNoDelay(upstream)
    let target = try TLSSession.handshake(socket: upstream, context: far, deadline: deadline)
    state.withLock { $0.open = [source, target] }
    let back = NamedThread.start("relay-back") { [self] in pump(.toSource, from: target, to: source) }
    pump(.toTarget, from: source, to: target)
    back.join()
  }

  private func pump(_ way: Way, from: TLSSession, to: TLSSession) {
    var stream = FrameStream(from)
    var sequence: UInt64 = 0
    var number = 0
    var ordinals: [MessageType: Int] = [:]
    do {
      guard let line = try stream.line() else { return end([from, to], .cut) }
      try to.writeAll(state.withLock { $0.banner }(way, line))
      while let (type, payload) = try stream.frame() {
        guard type != .heartbeat else {
          try to.writeAll(Self.encode(type, payload, &sequence))
          continue
        }
        let passing = Passing(
          way: way, number: number, type: type, ordinal: ordinals[type, default: 0], payload: payload)
        number += 1
        ordinals[type, default: 0] += 1
        let tamper = state.withLock { state in
          state.seen.append(passing)
          return state.tamper
        }
        switch tamper(passing) {
        case .pass: try to.writeAll(Self.encode(type, payload, &sequence))
        case .send(let frames):
          for (type, payload) in frames { try to.writeAll(Self.encode(type, payload, &sequence)) }
        case .raw(let bytes): try to.writeAll(bytes)
        case .end(let bytes, let ending):
          try to.writeAll(bytes)
          return end([to, from], ending)
        }
      }
      end([to, from], .farewell)
    } catch {
      end([to, from], .cut)
    }
  }

  private func end(_ sessions: [TLSSession], _ ending: Ending) {
    for session in sessions {
      if ending == .farewell { session.close() } else { session.interrupt() }
    }
  }

  /// A frame with the next number.
  static func encode(_ type: MessageType, _ payload: [UInt8], _ sequence: inout UInt64) -> [UInt8] {
    defer { sequence += 1 }
    return encode(type, payload, sequence: sequence)
  }

  /// Any frame, also one against the limits.
  static func encode(_ type: MessageType, _ payload: [UInt8], sequence: UInt64) -> [UInt8] {
    var bytes: [UInt8] = withUnsafeBytes(of: UInt32(payload.count).littleEndian) { Array($0) }
    bytes += [type.rawValue, 0, 0, 0]
    bytes += withUnsafeBytes(of: sequence.littleEndian) { Array($0) }
    return bytes + payload
  }
}

/// Cuts what a TLS session reads into its banner and its frames.
private struct FrameStream {
  private let session: TLSSession
  private var pending: [UInt8] = []
  private var reader = FrameReader()

  init(_ session: TLSSession) { self.session = session }

  /// Nil when the stream ended before the newline.
  mutating func line() throws -> [UInt8]? {
    while true {
      if let newline = pending.firstIndex(of: UInt8(ascii: "\n")) {
        defer { pending.removeFirst(newline + 1) }
        return Array(pending[...newline])
      }
      guard try fill() else { return nil }
    }
  }

  /// Nil after the peer's farewell.
  mutating func frame() throws -> (MessageType, [UInt8])? {
    while true {
      var rest = pending[...]
      if let frame = try reader.next(from: &rest) {
        pending = Array(rest)
        return (frame.header.type, frame.payload)
      }
      guard try fill() else { return nil }
    }
  }

  private mutating func fill() throws -> Bool {
    var buffer = [UInt8](repeating: 0, count: 64 << 10)
    let count = try buffer.withUnsafeMutableBytes { buffer in
      try session.read(into: buffer, deadline: Deadline(seconds: 60))
    }
    pending += buffer[..<count]
    return count > 0
  }
}

extension TLSSession {
  fileprivate func writeAll(_ bytes: [UInt8]) throws {
    guard !bytes.isEmpty else { return }
    try bytes.withUnsafeBytes { try write($0, deadline: Deadline(seconds: 10)) }
  }
}
