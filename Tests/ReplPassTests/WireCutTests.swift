import ReplModel
import ReplProtocol
import ReplTestKit
import Testing

@testable import ReplPass

/// Connections that end in the middle, at any byte, in any manner (FAULTS.md 46, 47).
@Suite(.serialized) struct WireCutTests {
  /// What a whole pass says in each direction.
  private func conversation(_ bench: WireBench) throws -> [FrameRelay.Passing] {
    #expect(try bench.strike("nothing", nil).isCommitted)
    let all: Set<MessageType> = [
      .hello, .offer, .accept, .batch, .file, .commit, .committed, .settled, .goodbye,
    ]
    #expect(Set(bench.seen.map(\.type)) == all)
    return bench.seen
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
          guard passing.isLike(frame) else { return .pass }
          let bytes = FrameRelay.encode(passing.type, passing.payload, sequence: UInt64(passing.number))
          return .end(Array(bytes.prefix(position)), .cut)
        }
        cuts += 1
        if outcome.isCommitted { committed += 1 }
        if let error = outcome.error { #expect(error.remedy == .retryPass, "\(what): \(error)") }
      }
    }
    print("\(cuts) cuts, \(committed) of them after the commit was known, seed \(bench.seed)")
    #expect(cuts > 200 && committed > 0 && committed < cuts / 2)
  }

  @Test("a farewell or a bare FIN between any two frames is a cut: only a commit frame commits, never an end")
  func everyBoundary() throws {
    let bench = try WireBench()
    defer { bench.end() }
    for frame in try conversation(bench) {
      for ending in FrameRelay.Ending.allCases {
        let what = "\(ending) instead of \(frame.type) \(frame.number) \(frame.way.rawValue)"
        let before = try bench.pair.standby()?.catalog.newest?.reference.number
        let commits = Counter()
        let outcome = try bench.strike(what) { passing in
          guard passing.isLike(frame) else { return .pass }
          commits.add()
          return .end([], ending)
        }
        // All that changed may be in one batch this time.
        if commits.value == 0, frame.type == .batch, frame.ordinal > 0 { continue }
        #expect(commits.value > 0, "\(what): the frame did not come")
        // The sender knows of the commit once `committed` is through: what is left is small talk.
        let isAfterCommit = frame.type == .settled || frame.type == .goodbye
        #expect(outcome.isCommitted == isAfterCommit, "\(what): \(outcome)")
        // One point for the pass without a fault, and one for this pass only when its commit got through.
        let after = try bench.pair.standby()?.catalog.newest?.reference.number
        let isCommitted = isAfterCommit || frame.type == .committed
        #expect(after == before.map { $0 + (isCommitted ? 2 : 1) }, "\(what)")
        if let error = outcome.error { #expect(error.remedy == .retryPass, "\(what): \(error)") }
      }
    }
  }

  @Test("a stream that is cut, reset, half closed or changed below TLS at a random byte is a typed error")
  func belowTLS() throws {
    let bench = try WireBench()
    defer { bench.end() }
    let proxy = try FaultyProxy(to: bench.pair.port)
    defer { proxy.stop() }
    try bench.strike("nothing", through: proxy.port, nil)
    let whole = (toServer: proxy.bytesToServer, toClient: proxy.bytesToClient)
    var random = SeededRandom(seed: bench.seed)
    for _ in 0..<60 {
      let fault = FaultyProxy.Fault.random(
        of: [.cut, .reset, .halfClose, .corrupt(bits: 1 << UInt8.random(in: 0..<8, using: &random))],
        toServer: whole.toServer, toClient: whole.toClient, using: &random)
      proxy.plan([fault])
      let outcome = try bench.strike("\(fault)", through: proxy.port, nil)
      guard let error = outcome.error else { continue }
      guard case .transport(let error) = error else {
        Issue.record("\(fault): \(error), seed \(bench.seed)")
        continue
      }
      #expect([.cut, .truncatedFrame, .tls, .closedByPeer].contains(error.code), "\(fault): \(error)")
    }
  }
}
