import Foundation
import ReplModel
import ReplTestKit
import Testing

@testable import ReplFailover
@testable import ReplStandby

/// A committed point that cannot be brought into the disks, when there is no primary any more.
@Suite("Failing over without a point that cannot be settled") struct UnsettledTests {
  /// Two points, and a third that is committed and meets a page on the medium that nobody wrote.
  private func diverged() throws -> FailoverBench {
    let bench = try FailoverBench()
    try bench.replicate([0: 1, 3: 1])
    try bench.replicate([3: 2])
    try bench.write(3, 0x66, isSilent: true)
    let pass = try bench.replicate([3: 3], settles: false)
    #expect(throws: StandbyError.self) { try pass.settle() }
    return bench
  }

  @Test("the plan names the point that it leaves out, and by force the one before is started")
  func newest() async throws {
    let bench = try diverged()
    defer { bench.end() }
    do {
      _ = try await bench.run(nil)
      Issue.record("taken")
    } catch let error as FailoverError {
      guard case .doubtful = error else { throw error }
      #expect("\(error)".contains("adopt \(FailoverBench.vm) --verify"), "\(error)")
      #expect(!"\(error)".contains("while the primary"))
    }
    let plan = try bench.failover.plan(try bench.find(), .init(forces: true))
    #expect(plan.point == FailoverBench.point(2) && !plan.isSettling)
    #expect(plan.doubts.contains { $0.contains("recovery point 1.3") && $0.contains("left out") })
    let said = try await bench.run(nil, forces: true)
    let left = try #require(said.first { $0.contains("left out") })
    let journal = try #require(left.split(separator: " ").last)
    #expect(FileManager.default.fileExists(atPath: String(journal)), "\(left)")
    let catalog = try bench.find().catalog
    #expect(catalog.fence?.point == FailoverBench.point(2) && catalog.newest?.reference.number == 2)
    // Fenced, it goes on without force, and nothing settles any more.
    _ = try await bench.run(nil)
    #expect(try bench.find().catalog.newest?.reference.number == 2)
  }

  @Test("by force also an older point is started")
  func older() async throws {
    let bench = try diverged()
    defer { bench.end() }
    _ = try await bench.run(1, forces: true)
    #expect(try bench.holds(1), "the undo file has the page")
    #expect(try bench.find().catalog.held == FailoverBench.point(1))
  }

  @Test("a point that the plan did not show is not taken, however it is forced; named, it is")
  func notShown() async throws {
    let bench = try FailoverBench()
    defer { bench.end() }
    try bench.replicate([0: 1, 3: 1])
    do { try bench.replicate([3: 2], settles: false) }
    // Found when the standby is opened: the plan cannot know.
    try bench.write(3, 0x66, isSilent: true)
    #expect(try bench.failover.plan(try bench.find(), .init(forces: true)).point == FailoverBench.point(2))
    do {
      _ = try await bench.run(nil, forces: true)
      Issue.record("taken")
    } catch let error as FailoverError {
      guard case .unsettled(_, .diverged, let held) = error else { throw error }
      #expect(held == FailoverBench.point(1) && "\(error)".contains("--point 1.1 --force"))
    }
    #expect(try bench.find().catalog.fence == nil)
    _ = try await bench.run(1, forces: true)
    #expect(try bench.find().catalog.fence?.point == FailoverBench.point(1))
  }

  @Test("once settling may have written the disks no force takes the point before")
  func begun() async throws {
    let bench = try diverged()
    defer { bench.end() }
    let points = try bench.home + "/.repl/points"
    try FileManager.default.copyItem(atPath: points + "/1.1.undo", toPath: points + "/1.2.undo")
    do {
      _ = try await bench.run(nil, forces: true)
      Issue.record("taken")
    } catch let error as FailoverError {
      guard case .standby = error else { throw error }
    }
    #expect(try bench.find().catalog.fence == nil)
  }
}
