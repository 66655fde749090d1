import Glibc
import NIOCore
import NIOHTTP1
import NIOPosix
import ReplIO
import ReplModel
import Synchronization

/// Asks the daemon on this machine for its status.
public enum StatusClient {
  private typealias Connection = NIOAsyncChannel<NIOHTTPClientResponseFull, HTTPClientRequestPart>

  /// The daemon's status document, or nil when nobody listens at the address.
  ///
  /// At most 4 seconds and 64 MiB; loopback addresses only.
  public static func fetch(from address: NetworkAddress) async throws(StatusClientError) -> StatusDocument? {
    guard address.isLoopback else {
      throw StatusClientError(address: address, detail: "is not a loopback address")
    }
    let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    let answer: Answer
    do throws(StatusClientError) {
      answer = try await ask(address, group)
    } catch {
      await end(group)
      throw error
    }
    await end(group)
    return try document(answer, address)
  }

  private enum Answer {
    case nobody
    case response(HTTPResponseStatus, [UInt8])
    /// The connection ended, or the time.
    case nothing
  }

  private static func ask(
    _ address: NetworkAddress, _ group: MultiThreadedEventLoopGroup
  ) async throws(StatusClientError) -> Answer {
    let deadline = Deadline(seconds: Double(ServiceLimits.statusDeadlineSeconds))
    let received = Mutex<Answer?>(nil)
    do {
      let connection = try await ClientBootstrap(group: group)
        .connectTimeout(.seconds(ServiceLimits.statusDeadlineSeconds))
        .connect(to: try address.loopbackSocketAddress(), channelInitializer: initialize)
      return try await connection.executeThenClose { inbound, outbound in
        let head = HTTPRequestHead(
          version: .http1_1, method: .GET, uri: "/status",
          headers: ["Host": "\(address)", "Connection": "close"])
        // In one write: the daemon answers the head and closes, and a second write might come too late.
        try await outbound.write(contentsOf: [.head(head), .end(nil)])
        for try await response in inbound {
          let body = response.body.map { Array($0.readableBytesView) } ?? []
          received.withLock { $0 = .response(response.head.status, body) }
          return .response(response.head.status, body)
        }
        return .nothing
      }
    } catch let error as NIOCore.IOError where error.errnoCode == ECONNREFUSED {
      return .nobody
    } catch {
      // The daemon closes the connection behind its answer, and our own end may come too late for it.
      if let answer = received.withLock({ $0 }) { return answer }
      // The deadline closes the connection, which looks like any other end.
      if deadline.hasPassed { return .nothing }
      throw StatusClientError(address: address, detail: "\(error)")
    }
  }

  @Sendable private static func initialize(_ channel: any Channel) -> EventLoopFuture<Connection> {
    channel.eventLoop.makeCompletedFuture {
      let deadline = channel.eventLoop.scheduleTask(in: .seconds(ServiceLimits.statusDeadlineSeconds)) {
        channel.close(promise: nil)
      }
      channel.closeFuture.whenComplete { _ in deadline.cancel() }
      try channel.pipeline.syncOperations.addHTTPClientHandlers()
      try channel.pipeline.syncOperations.addHandler(
        NIOHTTPClientResponseAggregator(maxContentLength: ServiceLimits.statusBytes))
      return try Connection(wrappingChannelSynchronously: channel)
    }
  }

  private static func document(
    _ answer: Answer, _ address: NetworkAddress
  ) throws(StatusClientError) -> StatusDocument? {
    switch answer {
    case .nobody: return nil
    case .nothing:
      let seconds = ServiceLimits.statusDeadlineSeconds
      throw StatusClientError(
        address: address, detail: "gave no answer within \(seconds) s; the daemon may hang")
    case .response(.ok, let bytes):
      do throws(StatusJSONError) {
        return try StatusJSON.decode(bytes)
      } catch {
        throw StatusClientError(address: address, detail: error.description)
      }
    case .response(let status, _):
      throw StatusClientError(
        address: address, detail: "answered \(status.code); is another program listening there?")
    }
  }

  private static func end(_ group: MultiThreadedEventLoopGroup) async {
    // Fails only when it has been shut down before.
    try? await group.shutdownGracefully()
  }
}

/// The daemon did not give its status.
public struct StatusClientError: ActionableError, Hashable {
  public let address: NetworkAddress
  public let detail: String

  init(address: NetworkAddress, detail: String) {
    self.address = address
    self.detail = SafeText.printable(detail, limit: 512)
  }

  /// Replication does not depend on status.
  public var remedy: Remedy { .retryPass }

  public var description: String { "\(address): no status: \(detail)" }
}
