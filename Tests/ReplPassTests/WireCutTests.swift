import ReplModel
import ReplProtocol
import ReplTestKit
import Testing

@testable import ReplPass

/// Connections that end in the middle, at any byte, in any manner (FAULTS.md 46, 47).
@Suite(.serialized) struct WireCutTests {
  /// What a whole pass says in each direction.
  private func conversation(_ bench: WireBench) throws -> [FrameRelay.Passing] {
    let outcome = try bench.strike("nothing", nil)
    #expect(outcome.isCommitted)
    bench.relay.tamper(nil)
    _ = try bench.pair.pass(bench.version, through: bench.relay.port)
    return bench.relay.seen
  }

  /// All of the header, and of the payload the ends and some bytes between: others in every run.
  private func positions(_ frame: FrameRelay.Passing, _ bench: WireBench) -> [Int] {
    let length = 16 + frame.payload.count
    let edges = [17, length - 1, length].filter { $0 > 16 && $0 <= length }
    let between = length > 20 ? (0..<4).map { _ in 17 + bench.number(below: length - 18) } : []
    return Set(Array(0...16) + edges + between).sorted()
  }

  @Test("a cut at every byte of every frame of a pass, in both directions, leaves one whole point")
  func everyByte() throws {
    let bench = try WireBench()
    defer { bench.end() }
    var cuts = 0
    var committed = 0
    for frame in try conversation(bench) {
      for position in positions(frame, bench) {
        let what = "\(frame.type) \(frame.number) \(frame.way.rawValue) cut at byte \(position)"
        let outcome = try bench.strike(what) { passing in
          guard passing.way == frame.way, passing.number == frame.number else { return .pass }
          let bytes = FrameRelay.encode(passing.type, passing.payload, sequence: UInt64(passing.number))
          return .end(Array(bytes.prefix(position)), .cut)
        }
        cuts += 1
        if outcome.isCommitted { committed += 1 }
        if let error = outcome.error { #expect(error.remedy == .retryPass, "\(what): \(error)") }
      }
    }
    print("\(cuts) cuts, \(committed) of them after the commit was known, seed \(bench.seed)")
    #expect(cuts > 150 && committed > 0 && committed < cuts / 2)
  }
}
