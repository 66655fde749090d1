import Foundation
import ReplDigest
import ReplModel
import ReplProtocol
import ReplTestKit
import Synchronization
import Testing

@testable import ReplPass

/// Frames that are changed inside TLS (FAULTS.md 50, 54, 55, 57, 58).
@Suite(.serialized) struct WireDamageTests {
  /// Changes the first frame of a type on each connection, up to `times` times in all.
  static func first(
    _ type: MessageType, times: Int = 1, _ change: @escaping @Sendable ([UInt8]) -> FrameRelay.Answer
  ) -> FrameRelay.Tamper {
    let left = Mutex(times)
    return { passing in
      guard passing.type == type else { return .pass }
      let isMine = left.withLock { left in
        left -= 1
        return left >= 0
      }
      return isMine ? change(passing.payload) : .pass
    }
  }

  /// Changes JSON as an object.
  static func json(_ payload: [UInt8], _ change: (inout [String: Any]) -> Void) -> [UInt8] {
    guard var object = (try? JSONSerialization.jsonObject(with: Data(payload))) as? [String: Any] else {
      return payload
    }
    change(&object)
    return (try? JSONSerialization.data(withJSONObject: object)).map { Array($0) } ?? payload
  }

  static func number(_ outcome: WireBench.Outcome) -> ErrorNumber? {
    guard case .failed(.wire(.peer(let number, _, _))) = outcome else { return nil }
    return ErrorNumber(rawValue: number)
  }

  @Test("a bit that flips in a batch before it is encrypted costs one more batch, and the point is right")
  func flippedOnce() throws {
    let bench = try WireBench()
    defer { bench.end() }
    for _ in 0..<12 {
      // In the last page of a batch, which does not compress.
      let (at, bit) = (bench.number(below: 1000), UInt8(1 << bench.number(below: 8)))
      let outcome = try bench.strike(
        "bit \(bit) of byte -\(at)",
        Self.first(.batch) { payload in
          // One of zeros has no page to damage.
          guard payload.count > 2048 else { return .pass }
          var payload = payload
          payload[payload.count - 1 - at] ^= bit
          return .send([(.batch, payload)])
        })
      #expect(outcome.isCommitted, "\(outcome), seed \(bench.seed)")
    }
  }

  @Test("a batch damaged every time is asked for three times, then the pass is red and nothing applied")
  func flippedAlways() throws {
    let bench = try WireBench()
    defer { bench.end() }
    let asked = Counter()
    let outcome = try bench.strike("every batch damaged") { passing in
      if passing.type == .resend { asked.add() }
      // One of zeros has no page to damage.
      guard passing.type == .batch, passing.payload.count > 2048 else { return .pass }
      var bytes = passing.payload
      bytes[bytes.count - 1] ^= 1
      return .send([(.batch, bytes)])
    }
    #expect(Self.number(outcome) == .damaged, "\(outcome)")
    // For each of the two disks, and each range of a request comes as a batch of its own.
    #expect((TargetSettings.resendLimit...(4 * TargetSettings.resendLimit)).contains(asked.value))
  }

  @Test("a damaged batch ends the pass with damaged where no pages can be asked for")
  func flippedWithoutResend() throws {
    let bench = try WireBench()
    defer { bench.end() }
    try bench.pair.startReceiver(features: Feature.allCases.filter { $0 != .resend })
    let outcome = try bench.strike("a batch damaged") { passing in
      guard passing.type == .batch, passing.payload.count > 2048 else { return .pass }
      var bytes = passing.payload
      bytes[bytes.count - 1] ^= 1
      return .send([(.batch, bytes)])
    }
    #expect(Self.number(outcome) == .damaged, "\(outcome)")
  }

  @Test("a receiver that takes small batches gets small ones")
  func smallBatches() throws {
    let pair = try Pair()
    let relay = try FrameRelay(pair)
    defer {
      relay.stop()
      pair.end()
    }
    let images = [
      PageMaker.random(byteCount: 1 << 20, seed: 5), PageMaker.random(byteCount: 200 << 10, seed: 6),
    ]
    relay.tamper { passing in
      guard passing.type == .hello, passing.way == .toSource else { return .pass }
      return .send([
        (.hello, Self.json(passing.payload) { $0["limits"] = ["batchBytes": 65_536, "disks": 64] })
      ])
    }
    _ = try pair.pass(images, through: relay.port)
    let lengths = relay.seen.filter { $0.type == .batch }.map { batch in
      batch.payload.withUnsafeBytes {
        Int(UInt32(littleEndian: $0.loadUnaligned(fromByteOffset: 8, as: UInt32.self)))
      }
    }
    #expect(lengths.reduce(0, +) == (1 << 20) + (200 << 10) && lengths.max() == 65_536)
    #expect(try pair.standby()?.images == images)
  }

  @Test("a bit that flips anywhere in any frame never makes a wrong point, and the next pass is right")
  func flippedAnywhere() throws {
    let bench = try WireBench()
    defer { bench.end() }
    // With a lost sender, so that keys and trees travel as well.
    bench.pair.replaceSender()
    try bench.strike("nothing", nil)
    let frames = bench.seen
    #expect(
      Set(frames.map(\.type)).isSuperset(of: [.hello, .key, .offer, .accept, .leaves, .batch, .file, .commit])
    )
    var failed = 0
    for frame in frames where !frame.payload.isEmpty {
      for _ in 0..<4 {
        let (at, bit) = (bench.number(below: frame.payload.count), UInt8(1 << bench.number(below: 8)))
        let what = "\(frame.type) \(frame.number) \(frame.way.rawValue), bit \(bit) of byte \(at)"
        bench.pair.replaceSender()
        let outcome = try bench.strike(what) { passing in
          guard passing.isLike(frame), passing.payload.count > at else {
            return .pass
          }
          var payload = passing.payload
          payload[at] ^= bit
          return .send([(passing.type, payload)])
        }
        if !outcome.isCommitted { failed += 1 }
      }
    }
    print("\(failed) of \(4 * frames.count) passes failed, seed \(bench.seed)")
    #expect(failed > frames.count)
  }

  @Test("a replayed, skipped or reordered frame is refused by its number; a repeated batch changes nothing")
  func order() throws {
    let bench = try WireBench()
    defer { bench.end() }
    let replays: [(String, @Sendable (FrameRelay.Passing) -> Answer)] = [
      ("sent twice", { p in .raw(Self.raw(p, p.number) + Self.raw(p, p.number)) }),
      ("skipped", { p in .raw(Self.raw(p, p.number + 1)) }),
      ("an old number", { p in .raw(Self.raw(p, p.number - 1)) }),
    ]
    for (what, replay) in replays {
      let outcome = try bench.strike("a batch \(what)") { $0.type == .batch ? replay($0) : .pass }
      #expect(!outcome.isCommitted, "\(what)")
      #expect(Self.number(outcome) != nil, "\(what): \(outcome)")
    }
    // With right numbers: the same batch again holds the same pages, but the source has not counted it.
    let again = try bench.strike(
      "a batch inserted", Self.first(.batch) { .send([(.batch, $0), (.batch, $0)]) })
    #expect(!again.isCommitted, "\(again)")
    let gone = try bench.strike("a batch lost", Self.first(.batch) { _ in .send([]) })
    #expect(!gone.isCommitted, "\(gone)")
  }

  private typealias Answer = FrameRelay.Answer

  private static func raw(_ passing: FrameRelay.Passing, _ sequence: Int) -> [UInt8] {
    FrameRelay.encode(passing.type, passing.payload, sequence: UInt64(sequence))
  }

  @Test("a commit with a wrong root or a wrong count makes no point, and says which")
  func commit() throws {
    let bench = try WireBench()
    defer { bench.end() }
    func change(_ field: String, _ value: @escaping @Sendable (Any?) -> Any) -> FrameRelay.Tamper {
      Self.first(.commit) { payload in
        .send([
          (
            .commit,
            Self.json(payload) { commit in
              guard var disks = commit["disks"] as? [[String: Any]] else { return }
              if field == "batches" { commit[field] = value(commit[field]) }
              disks[0][field] = field == "batches" ? nil : value(disks[0][field])
              commit["disks"] = disks
            }
          )
        ])
      }
    }
    let more: @Sendable (Any?) -> Any = { (($0 as? Int) ?? 0) + 1 }
    let otherRoot: @Sendable (Any?) -> Any = { root in
      let text = root as? String ?? ""
      return String(text.dropLast()) + (text.last == "0" ? "1" : "0")
    }
    for (field, value) in [
      ("root", otherRoot), ("dataPages", more), ("zeroPages", more), ("batches", more),
    ] {
      let outcome = try bench.strike("commit with another \(field)", change(field, value))
      #expect(!outcome.isCommitted, "\(field)")
      if field == "root" { #expect(Self.number(outcome) == .rootMismatch, "\(outcome)") }
      let text = outcome.error.map { "\($0)" } ?? ""
      #expect(text.contains(field == "root" ? "root" : field == "batches" ? "batches" : "pages"), "\(text)")
    }
  }

  @Test("versions that do not fit: the sentence names both and what to upgrade, and nothing is written")
  func versions() throws {
    let bench = try WireBench()
    defer { bench.end() }
    let before = bench.pair.receiver.operationCount
    bench.relay.tamperBanner { way, line in
      way == .toSource ? Array("vmrepl 0.3.0 protocol 3-4\n".utf8) : line
    }
    let error = #expect(throws: PassError.self) {
      try bench.pair.pass(bench.version, through: bench.relay.port)
    }
    let sentence = "sender 0.1.0 speaks 1-1, receiver 0.3.0 speaks 3-4; upgrade the sender first"
    #expect("\(error!)".contains(sentence), "\(error!)")
    #expect(error?.remedy != .retryPass)
    #expect(bench.pair.receiver.operationCount == before)
    bench.relay.tamperBanner { $1 }
    let required = try bench.strike(
      "an unknown mandatory feature",
      Self.first(.hello) { payload in
        .send([(.hello, Self.json(payload) { $0["features"] = ["!time-travel"] })])
      })
    #expect("\(required.error!)".contains("time-travel"), "\(required)")
  }
}
