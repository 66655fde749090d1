import ReplIO
import ReplModel
import ReplProtocol
import ReplTestKit
import ReplTransport
import Synchronization
import Testing

@testable import ReplPass

/// Partitions at random bytes of a pass, both ways and one way (FAULTS.md 41): nobody is told.
/// The deadlines of the protocol run in real time, all cases at once.
@Suite(.serialized) struct StallSweepTests {
  /// Two idle times, for a stall that shows itself only after another message.
  private static let seconds: Double = 75

  @Test("a partition at any step, both ways or one way, ends the pass at both ends in time; it goes on after")
  func partitions() throws {
    let cases: [(FaultyProxy.Fault.Kind, FaultyProxy.Direction, Int)] =
      FaultyProxy.Direction.allCases.flatMap { direction in
        [FaultyProxy.Fault.Kind.stall, .stallBoth].flatMap { kind in (0..<4).map { (kind, direction, $0) } }
      }
    let ended = Mutex<[String]>([])
    let threads = cases.map { kind, direction, part in
      NamedThread.start("stall") {
        do {
          let line = try strike(kind, direction, part: part)
          ended.withLock { $0.append(line) }
        } catch { Issue.record("\(kind) \(direction) \(part): \(error)") }
      }
    }
    for thread in threads { thread.join() }
    let all = ended.withLock { $0 }
    for line in all.sorted() { print(line) }
    #expect(all.count == cases.count)
    #expect(all.count { !$0.hasSuffix("committed") } > cases.count / 2)
  }

  /// One case of its own pair; what came of it as a line.
  private func strike(
    _ kind: FaultyProxy.Fault.Kind, _ direction: FaultyProxy.Direction, part: Int
  ) throws -> String {
    let bench = try WireBench()
    defer { bench.end() }
    bench.passSeconds = Self.seconds
    let proxy = try FaultyProxy(to: bench.pair.port)
    defer { proxy.stop() }
    try bench.strike("nothing", through: proxy.port, nil)
    // A part of the conversation for each: handshake, hello and offer, data, commit.
    let whole = direction == .toServer ? proxy.bytesToServer : proxy.bytesToClient
    let position = whole * part / 4 + bench.number(below: max(1, whole / 4 - 60))
    let fault = FaultyProxy.Fault(direction: direction, afterBytes: position, kind: kind)
    proxy.plan([fault])
    let outcome = try bench.strike("\(fault) of \(whole)", through: proxy.port, nil)
    guard let error = outcome.error else { return "\(fault): committed" }
    #expect(error.remedy == .retryPass || part == 0, "\(fault): \(error)")
    switch error {
    case .transport(let failure):
      let codes: [TransportError.Code] = [
        .idle, .overdue, .tls, .sendTimedOut, .cut, .closedByPeer, .truncatedFrame,
      ]
      #expect(codes.contains(failure.code), "\(fault): \(error)")
    // Where only the way to the receiver is closed, it says itself what it waited for in vain.
    case .wire(.peer(ErrorNumber.timedOut.rawValue, let text, _)):
      #expect(text.contains("nothing was received") || text.contains("in time"), "\(fault): \(error)")
    default: Issue.record("\(fault): \(error)")
    }
    return "\(fault): \(error)"
  }
}
