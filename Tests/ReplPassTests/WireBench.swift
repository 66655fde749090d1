import Foundation
import ReplIO
import ReplModel
import ReplStandby
import ReplTestKit
import Testing

@testable import ReplPass

/// A sender and a receiver with a relay between them and a committed version of two small disks: runs a pass
/// with a fault on the wire, and checks what must be true after any fault.
final class WireBench {
  let pair: Pair
  let relay: FrameRelay
  let seed: UInt64
  private var random: SeededRandom
  /// What the sender was last told is committed.
  private(set) var version: [[UInt8]]
  /// The frames of the last pass with a fault.
  private(set) var seen: [FrameRelay.Passing] = []
  /// Number of the newest point that the receiver holds.
  private var number: UInt64 = 0

  static let sizes = [(96 << 10) + 1536, 64 << 10]
  /// Far above what a pass of these disks takes; below the deadlines of the protocol.
  var passSeconds: Double = 20

  enum Outcome {
    case committed(SourcePass.Report)
    case failed(PassError)

    var error: PassError? { if case .failed(let error) = self { error } else { nil } }
    var isCommitted: Bool { error == nil }
  }

  /// `seed` from VMREPL_SEED, else random; printed by the test that fails.
  init() throws {
    seed =
      ProcessInfo.processInfo.environment["VMREPL_SEED"].flatMap(UInt64.init)
      ?? UInt64.random(in: 0...UInt64.max)
    random = SeededRandom(seed: seed)
    pair = try Pair()
    relay = try FrameRelay(pair)
    version = Self.sizes.map { [UInt8](repeating: 0, count: $0) }
    for page in [0, 3, 20] { Self.fill(&version[0], page, seed: UInt64(page) + 1) }
    for page in [1, 2, 15] { Self.fill(&version[1], page, seed: UInt64(page) + 50) }
    _ = try pair.pass(version)
    try check(allowed: [version], "the first copy")
  }

  func end() {
    relay.stop()
    pair.end()
  }

  func number(below bound: Int) -> Int { Int.random(in: 0..<bound, using: &random) }

  private static func fill(_ disk: inout [UInt8], _ page: Int, seed: UInt64?) {
    let end = min((page + 1) * 4096, disk.count)
    let bytes = seed.map { PageMaker.random(byteCount: 4096, seed: $0) } ?? [UInt8](repeating: 0, count: 4096)
    disk.replaceSubrange((page * 4096)..<end, with: bytes[0..<(end - page * 4096)])
  }

  /// A page of each disk changes, the last one now and then, and another one becomes zero.
  private func nextVersion() -> [[UInt8]] {
    var next = version
    for disk in next.indices {
      let last = (Self.sizes[disk] + 4095) / 4096 - 1
      Self.fill(
        &next[disk], random.chance(1, of: 4) ? last : 8 + number(below: last - 8), seed: random.next())
    }
    Self.fill(&next[0], number(below: 8), seed: nil)
    return next
  }

  /// A pass with the fault, everything that must hold after it, and a pass without: it commits (P7).
  @discardableResult
  func strike(_ what: String, through port: UInt16? = nil, _ tamper: FrameRelay.Tamper?) throws -> Outcome {
    let context = "\(what), seed \(seed)"
    let next = nextVersion()
    relay.tamper(tamper)
    let outcome = try pass(next, through: port ?? relay.port, context)
    seen = relay.seen
    // P1 and P2: one of the two versions, whole, and the new one when the sender was told so.
    try check(allowed: outcome.isCommitted ? [next] : [version, next], context)
    relay.tamper(nil)
    guard try pass(next, through: pair.port, "\(context), then without a fault").isCommitted else {
      throw Failure(text: "\(context): the pass after it did not commit")
    }
    try check(allowed: [next], "\(context), then without a fault")
    version = next
    return outcome
  }

  struct Failure: Error, CustomStringConvertible {
    let text: String
    var description: String { text }
  }

  /// P4: what fails says so with words that can be printed; P5: in time.
  private func pass(_ images: [[UInt8]], through port: UInt16, _ context: String) throws -> Outcome {
    let began = SystemTime().monotonicNanoseconds()
    defer {
      let seconds = Double(SystemTime().monotonicNanoseconds() - began) / 1e9
      #expect(seconds < passSeconds, "\(context): took \(seconds) s")
    }
    // A file travels with every new version, too.
    let vmx = "displayName = \"web01\"\nannotation = \"\(images[0].reduce(0) { $0 &+ Int($1) })\"\n"
    do { return .committed(try pair.pass(images, vmx: vmx, through: port)) } catch let error as PassError {
      let text = "\(error)"
      #expect(text.utf8.count > 10 && !text.utf8.contains { $0 < 0x20 || $0 == 0x7F }, "\(context): \(text)")
      return .failed(error)
    }
  }

  /// The receiver lets go of the connection and of the standby, and the standby is one of these, settled,
  /// with a point that is the next one at most.
  private func check(allowed: [[[UInt8]]], _ context: String) throws {
    let deadline = Deadline(seconds: passSeconds)
    func wait() { _ = Monitor(false).wait(seconds: 0.002) { $0 ? true : nil } }
    while pair.connectionCount > 0 {
      guard !deadline.hasPassed else { throw Failure(text: "\(context): the receiver keeps the connection") }
      wait()
    }
    let store = try pair.store()
    guard let held = try store.open(vm: Pair.vm, waitSeconds: 1) else {
      throw Failure(text: "\(context): the standby is gone")
    }
    guard case .success = held.recovery, let found = held.catalog.newest?.reference.number else {
      throw Failure(text: "\(context): \(held.recovery), \(String(describing: held.catalog.newest))")
    }
    let standby = try #require(try pair.standby())
    #expect(!standby.isSettling, "\(context)")
    #expect(allowed.contains(standby.images), "\(context): neither the old nor the new version")
    #expect(number...(number + 1) ~= found, "\(context): point \(found) after \(number)")
    #expect(held.catalog.fence == nil && held.catalog.divergence == nil, "\(context)")
    number = found
  }
}
