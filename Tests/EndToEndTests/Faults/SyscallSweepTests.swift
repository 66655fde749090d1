import Foundation
import ReplTestKit
import Testing

extension EndToEnd {
  /// Every call on files of both executables, and everything that can become of it. A sample of it here;
  /// all of it with `VMREPL_FULL_SWEEP=1`, which takes most of an hour.
  @Suite(.needs("gcc", "mkfs.ext4"), .needsLoopMounts) struct SyscallSweepTests {
    /// Runs of the sample, for each of the two programs.
    static let sampleCount = 10
    static let recoverySampleCount = 2

    @Test(
      "rows 1, 2, 5, 10: a kill, torn write or error at any call on files loses nothing, and it goes on",
      arguments: SyscallSweep.Victim.allCases)
    func sweep(victim: SyscallSweep.Victim) throws {
      let seed = FaultSeed.make("syscall sweep")
      let sweep = try SyscallSweep(seed: seed)
      let all = try (1...ThreePasses.count).flatMap { try sweep.cases(victim, pass: $0) }
      #expect(all.count > 500, "the shim must see the calls")
      var random = SeededRandom(seed: seed)
      let chosen = all.shuffled(using: &random).prefix(FaultSeed.isFull ? all.count : Self.sampleCount)
      var (met, violations) = (0, [String]())
      let began = Date()
      for (count, each) in chosen.enumerated() {
        if count > 0, count.isMultiple(of: 250) {
          print("\(victim): \(count) runs, \(violations.count) violations")
        }
        let outcome = sweep.run(each)
        met += outcome.met == nil ? 0 : 1
        violations += outcome.violations
        for violation in outcome.violations { print("VIOLATION \(violation)") }
      }
      print(
        "syscall sweep of the \(victim): \(all.count) possible runs, \(chosen.count) done, \(met) met "
          + "their call, \(violations.count) violations, \(Int(Date().timeIntervalSince(began))) s, "
          + "seed \(seed)")
      for violation in violations { Issue.record("\(violation)") }
      #expect(met * 10 >= chosen.count * 8, "most faults must be met")
    }

    @Test("row 3: a receiver that is killed in one recovery after the other converges to one committed point")
    func recoveries() throws {
      let seed = FaultSeed.make("recovery sweep")
      let sweep = try SyscallSweep(seed: seed)
      var random = SeededRandom(seed: seed)
      let all = try (1...ThreePasses.count).flatMap { pass in
        try sweep.calls(of: .receiver, pass: pass).map { (pass: pass, operation: $0.number) }
      }
      let chosen =
        FaultSeed.isFull
        ? all : Array(all.filter { $0.pass > 1 }.shuffled(using: &random).prefix(Self.recoverySampleCount))
      var (killed, violations) = (0, [String]())
      for each in chosen {
        let outcome = sweep.killRecoveries(pass: each.pass, operation: each.operation)
        killed += outcome.killed
        violations += outcome.violations
        for violation in outcome.violations { print("VIOLATION \(violation)") }
      }
      print(
        "recovery sweep: \(chosen.count) kills of \(all.count) possible, \(killed) recoveries killed, "
          + "\(violations.count) violations, seed \(seed)")
      for violation in violations { Issue.record("\(violation)") }
      #expect(killed > 0)
    }
  }
}

/// The seed of tests with a random part, and how much of a sweep is done.
enum FaultSeed {
  static let isFull = ProcessInfo.processInfo.environment["VMREPL_FULL_SWEEP"] == "1"

  static func make(_ name: String) -> UInt64 {
    let seed =
      ProcessInfo.processInfo.environment["VMREPL_SEED"].flatMap(UInt64.init)
      ?? UInt64.random(in: 0...UInt64(UInt32.max))
    print("\(name) seed: \(seed) (set VMREPL_SEED to run it again)")
    return seed
  }
}
