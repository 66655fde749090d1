import NIOCore
import Synchronization

/// Stands before the HTTP parser: bounds what one connection may send and how long it may last.
///
/// The deadline is one for the whole connection, so a peer that sends or takes a byte a second gains nothing.
final class RequestBounds: ChannelInboundHandler {
  typealias InboundIn = ByteBuffer
  typealias InboundOut = ByteBuffer
  typealias OutboundOut = ByteBuffer

  private var receivedBytes = 0
  private var deadline: Scheduled<Void>?

  func channelActive(context: ChannelHandlerContext) {
    let channel = context.channel
    deadline = context.eventLoop.scheduleTask(in: .seconds(ServiceLimits.httpDeadlineSeconds)) {
      channel.close(promise: nil)
    }
    context.fireChannelActive()
  }

  func channelInactive(context: ChannelHandlerContext) {
    deadline?.cancel()
    context.fireChannelInactive()
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    guard receivedBytes <= ServiceLimits.httpRequestBytes else { return }
    receivedBytes += Self.unwrapInboundIn(data).readableBytes
    guard receivedBytes <= ServiceLimits.httpRequestBytes else { return refuse(context) }
    context.fireChannelRead(data)
  }

  private func refuse(_ context: ChannelHandlerContext) {
    let answer =
      "HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    let bytes = context.channel.allocator.buffer(string: answer)
    let channel = context.channel
    context.writeAndFlush(Self.wrapOutboundOut(bytes)).whenComplete { _ in channel.close(promise: nil) }
  }
}

/// How many connections are being served.
final class ConnectionCount: Sendable {
  private let count = Atomic<Int>(0)

  /// False when there are as many as are allowed.
  func enter() -> Bool {
    let (_, now) = count.add(1, ordering: .relaxed)
    if now > ServiceLimits.httpConnections {
      count.subtract(1, ordering: .relaxed)
      return false
    }
    return true
  }

  func leave() { count.subtract(1, ordering: .relaxed) }
}

extension NetworkAddress {
  /// For loopback addresses only: no name is ever looked up.
  func loopbackSocketAddress() throws -> SocketAddress {
    try SocketAddress(ipAddress: host == "localhost" ? "127.0.0.1" : host, port: port)
  }
}
