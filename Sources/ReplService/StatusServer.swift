import Glibc
import NIOCore
import NIOHTTP1
import NIOPosix
import ReplIO
import ReplModel
import Synchronization

/// What `/healthz` answers.
public enum Health: Sendable, Hashable {
  case ok
  /// What is wrong, in one line.
  case failing(String)
}

/// Serves status, health and metrics over HTTP on a loopback address.
///
/// Nothing can be changed through it: GET and HEAD of three paths, one request a connection, no body is read.
/// One thread of its own; bounded connections, bytes and seconds.
public final class StatusServer: Sendable {
  typealias Connection = NIOAsyncChannel<HTTPServerRequestPart, HTTPServerResponsePart>

  /// The port that it listens on: the configured one, or the one that the system chose for 0.
  public let port: Int

  private let group: MultiThreadedEventLoopGroup
  private let listener: NIOAsyncChannel<Connection, Never>
  private let pages: StatusPages

  /// Whoever serves shuts the event loop down: nothing may wait for a loop that is gone.
  private enum Phase {
    case bound, serving, ended
  }

  private let phase = Mutex(Phase.bound)

  private init(
    port: Int, group: MultiThreadedEventLoopGroup, listener: NIOAsyncChannel<Connection, Never>,
    pages: StatusPages
  ) {
    self.port = port
    self.group = group
    self.listener = listener
    self.pages = pages
  }

  /// As below; waits for an address that another program has.
  public static func start(
    on address: NetworkAddress, patience: ListenPatience, health: @escaping @Sendable () async -> Health,
    provide: @escaping @Sendable () async -> StatusDocument
  ) async throws -> StatusServer {
    try await patience.wait(mayPass: \.mayPass) { () async throws(StatusServerError) in
      try await start(on: address, health: health, provide: provide)
    }
  }

  /// Binds the address; `run` then serves. Whoever starts a server runs it or stops it.
  ///
  /// `processStart`: when the daemon started. `health` and `provide` are asked once a request.
  public static func start(
    on address: NetworkAddress, processStart: WallTime = SystemTime().wallTime(),
    health: @escaping @Sendable () async -> Health,
    provide: @escaping @Sendable () async -> StatusDocument
  ) async throws(StatusServerError) -> StatusServer {
    guard address.isLoopback else {
      throw StatusServerError(
        address: address, detail: "not a loopback address, and the page asks nobody who they are")
    }
    let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    do {
      let target = try address.loopbackSocketAddress()
      let listener = try await bootstrap(group).bind(to: target, childChannelInitializer: initialize)
      let port = listener.channel.localAddress?.port ?? address.port
      let pages = StatusPages(processStart: processStart, health: health, provide: provide)
      return StatusServer(port: port, group: group, listener: listener, pages: pages)
    } catch {
      await end(group)
      throw StatusServerError(address: address, detail: reason(error), mayPass: true)
    }
  }

  /// What the system said, without the names of our library's calls.
  private static func reason(_ error: any Error) -> String {
    guard let error = error as? NIOCore.IOError else { return "\(error)" }
    if error.errnoCode == EADDRINUSE { return "the address is in use by another program" }
    return String(cString: strerror(error.errnoCode))
  }

  /// Serves until the task is cancelled or `stop` is called, then ends every connection. Serves once: called
  /// again, or after `stop`, it returns at once.
  public func run() async {
    guard enter(.serving, from: .bound) else { return }
    await serveUntilClosed()
  }

  /// Makes `run` end, or gives the port of a server that never ran back.
  public func stop() async {
    let neverRan = enter(.ended, from: .bound)
    guard neverRan || phase.withLock({ $0 == .serving }) else { return }
    // It may be closed already, which is what is wanted.
    try? await listener.channel.close()
    // Connections that nobody took are let go by the same loop, before their event loop is.
    if neverRan { await serveUntilClosed() }
  }

  private func serveUntilClosed() async {
    do {
      try await withThrowingDiscardingTaskGroup { tasks in
        try await listener.executeThenClose { connections in
          let open = ConnectionCount()
          for try await connection in connections {
            tasks.addTask { await self.serve(connection, open) }
          }
        }
        tasks.cancelAll()
      }
    } catch {
      // The listener was closed or the task cancelled: both are how a server ends.
    }
    phase.withLock { $0 = .ended }
    await Self.end(group)
  }

  private func enter(_ next: Phase, from expected: Phase) -> Bool {
    phase.withLock { phase in
      guard phase == expected else { return false }
      phase = next
      return true
    }
  }

  private static func end(_ group: MultiThreadedEventLoopGroup) async {
    // Fails only when it has been shut down before.
    try? await group.shutdownGracefully()
  }

  private static func bootstrap(_ group: MultiThreadedEventLoopGroup) -> ServerBootstrap {
    ServerBootstrap(group: group)
      .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
      .serverChannelOption(.backlog, value: ServiceLimits.httpBacklog)
      .childChannelOption(.maxMessagesPerRead, value: 1)
  }

  @Sendable private static func initialize(_ channel: any Channel) -> EventLoopFuture<Connection> {
    channel.eventLoop.makeCompletedFuture {
      try channel.pipeline.syncOperations.addHandler(RequestBounds())
      try channel.pipeline.syncOperations.configureHTTPServerPipeline(
        withPipeliningAssistance: false, withErrorHandling: true)
      return try Connection(wrappingChannelSynchronously: channel)
    }
  }

  private func serve(_ connection: Connection, _ open: ConnectionCount) async {
    guard open.enter() else {
      // Nobody to tell but the peer, who sees the connection end.
      try? await connection.executeThenClose { _, _ in }
      return
    }
    defer { open.leave() }
    do {
      try await connection.executeThenClose { inbound, _ in
        for try await case .head(let head) in inbound {
          try await pages.answer(to: head).write(to: connection.channel, isHead: head.method == .HEAD)
          // One request a connection: whatever follows is not read.
          return
        }
      }
    } catch {
      // A peer that went away, sent nonsense or was too slow: its connection is closed, nothing else happens.
    }
  }
}

/// The status server could not start.
public struct StatusServerError: ActionableError, Hashable {
  public let address: NetworkAddress
  public let detail: String
  /// Whether it may listen there later, such as when another program has ended.
  public let mayPass: Bool

  init(address: NetworkAddress, detail: String, mayPass: Bool = false) {
    self.mayPass = mayPass
    self.address = address
    self.detail = SafeText.printable(detail)
  }

  public var remedy: Remedy { .stopVM }

  public var description: String {
    "\(address): the status server cannot listen: \(detail); give another address as http, or off"
  }
}
