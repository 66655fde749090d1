import Foundation
import ReplIO
import ReplModel
import ReplTestKit
import Testing

@testable import ReplFailover
@testable import ReplStandby

/// A failover that goes to another point than the one before, or goes on after it was cut off.
@Suite("Failing over to another point") struct OtherPointTests {
  /// Three points, the second of which makes the disk larger.
  private func threePoints(onDevice: Bool = false) throws -> FailoverBench {
    let bench = try FailoverBench(onDevice: onDevice)
    try bench.replicate([0: 1, 3: 1])
    try bench.replicate([3: 2, 9: 2], pageCount: 10)
    try bench.replicate([0: 3, 8: 3], pageCount: 10)
    return bench
  }

  private func refusal(_ body: () async throws -> Void) async throws -> String {
    do {
      try await body()
      return ""
    } catch let error as FailoverError {
      guard case .doubtful = error else { throw error }
      return "\(error)"
    }
  }

  @Test("until a VM runs any point can be chosen, without force, and is exactly there")
  func untouched() async throws {
    let bench = try threePoints()
    defer { bench.end() }
    for number: UInt64 in [3, 1, 2, 1, 3, 2] {
      let choice = Failover.Choice(point: FailoverBench.point(number))
      #expect(try bench.failover.plan(try bench.find(), choice).doubts == [])
      _ = try await bench.run(number)
      #expect(try bench.holds(number), "point \(number)")
      _ = try await bench.run(nil)
      #expect(try bench.holds(number), "it goes on to the same point")
    }
  }

  @Test("a VM that was started by hand is not overwritten by another point: plan and run ask for force")
  func started() async throws {
    let bench = try threePoints()
    defer { bench.end() }
    for (held, other): (UInt64, UInt64) in [(3, 1), (1, 2), (1, 3)] {
      // To another point than the one before.
      _ = try await bench.run(held, forces: true)
      try bench.write(5, UInt8(held) + 0x70)
      let path = try bench.home + "/scsi0-0-flat.vmdk"
      let before = try Data(contentsOf: URL(fileURLWithPath: path))
      let plan = try bench.failover.plan(try bench.find(), .init(point: FailoverBench.point(other)))
      #expect(plan.doubts.contains { $0.contains("if the VM was started since the failover") })
      let said = try await refusal { _ = try await bench.run(other) }
      #expect(said.contains("scsi0-0-flat.vmdk") && said.contains("--force"), "\(said)")
      #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == before, "nothing was written")
      #expect(try bench.find().catalog.fence?.point == FailoverBench.point(held))
      _ = try await bench.run(nil)
      #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == before, "going on leaves the VM alone")
    }
    _ = try await bench.run(2, forces: true)
    #expect(try bench.find().catalog.held == FailoverBench.point(2))
  }

  @Test("a VM may have been started on a device without a trace: going to another point needs force")
  func device() async throws {
    let bench = try threePoints(onDevice: true)
    defer { bench.end() }
    _ = try await bench.run(1)
    #expect(try bench.holds(1))
    #expect(
      try bench.failover.plan(try bench.find(), .init(point: FailoverBench.point(3))).doubts
        .contains { $0.contains(FailoverBench.devicePath) })
    #expect(try await refusal { _ = try await bench.run(3) }.contains(FailoverBench.devicePath))
    #expect(try bench.holds(1))
    _ = try await bench.run(nil)
    _ = try await bench.run(3, forces: true)
    #expect(try bench.holds(3))
  }

  @Test("a failover that fails behind the disks goes on when the cause is mended, or to another point")
  func failedLate() async throws {
    for next: UInt64 in [1, 2, 3] {
      let bench = try threePoints()
      defer { bench.end() }
      bench.refusesStart.isOn = true
      // In the way of a file that is to be placed.
      let obstacle = try bench.home + "/folder"
      try FileManager.default.createDirectory(
        atPath: obstacle + "/full", withIntermediateDirectories: true)
      await #expect(throws: FailoverError.self) { _ = try await bench.run(1) }
      #expect(try bench.holds(1) && bench.find().catalog.held == FailoverBench.point(1))
      bench.refusesStart.isOn = false
      try FileManager.default.removeItem(atPath: obstacle)
      let plan = try bench.failover.plan(try bench.find(), .init(point: FailoverBench.point(next)))
      #expect(plan.doubts == [], "to \(next)")
      _ = try await bench.run(next)
      #expect(try bench.holds(next), "to \(next)")
      let vmx = try String(contentsOfFile: try bench.home + "/web01.vmx", encoding: .utf8)
      #expect(vmx.contains("annotation = \"\(next)"), "\(vmx)")
    }
  }

  @Test("a failover that was killed on the way to a smaller point goes on to it, or to another one")
  func cutOff() async throws {
    for next: UInt64 in [1, 2, 3] {
      let bench = try threePoints()
      defer { bench.end() }
      do {
        let standby = try #require(try bench.store.open(vm: FailoverBench.vm))
        try standby.fence(reason: "failover", point: FailoverBench.point(1))
        try standby.goTo(FailoverBench.point(1))
        // As it is before the catalog names what the disks hold.
        let generation = try #require(bench.find().catalog.disks.first?.generation)
        try standby.update { catalog in
          catalog.held = nil
          catalog.disks[0].generation = FileGeneration(
            inode: generation.inode, sizeBytes: 10 * 4096, modifiedNanoseconds: 1)
        }
        try standby.home.directory.replaceFile("SETTLING.txt", with: [0x21])
      }
      #expect(
        try bench.failover.plan(try bench.find(), .init(point: FailoverBench.point(next))).doubts == [])
      _ = try await bench.run(next)
      #expect(try bench.holds(next), "to \(next)")
      #expect(try !FileManager.default.fileExists(atPath: bench.home + "/SETTLING.txt"))
    }
  }

  @Test("going to another point that was cut off begins anew, also to the point whose files were placed")
  func cutOffElsewhere() async throws {
    let bench = try threePoints()
    defer { bench.end() }
    _ = try await bench.run(1)
    do {
      let standby = try #require(try bench.store.open(vm: FailoverBench.vm))
      let fence = try #require(standby.catalog.fence)
      // On its way to the newest, with a page half done.
      try standby.update {
        $0.fence = .init(
          epoch: fence.epoch, at: fence.at, reason: fence.reason, point: FailoverBench.point(3))
      }
      try standby.home.directory.replaceFile("SETTLING.txt", with: [0x21])
      try bench.write(3, 0x55)
    }
    _ = try await bench.run(1)
    #expect(try bench.holds(1))
    // The disks are at the newest, and what stands beside them is for the first.
    try (try #require(try bench.store.open(vm: FailoverBench.vm))).goTo(FailoverBench.point(3))
    _ = try await bench.run(3)
    let vmx = try String(contentsOfFile: try bench.home + "/web01.vmx", encoding: .utf8)
    #expect(vmx.contains("annotation = \"3"), "\(vmx)")
  }

  @Test("what an older point lacks for a start is found before anything is fenced, by plan and run")
  func missingFiles() async throws {
    for isUndo in [false, true] {
      let bench = try threePoints()
      defer { bench.end() }
      let kept = try #require(bench.find().catalog.kept(FailoverBench.point(1)))
      let name =
        isUndo ? "points/1.1.undo" : "files/\(HexText.encode(try #require(kept.vmxHash).bytes))"
      try FileManager.default.removeItem(atPath: try bench.home + "/.repl/\(name)")
      let choice = Failover.Choice(point: FailoverBench.point(1))
      #expect(throws: FailoverError.self) { _ = try bench.failover.plan(try bench.find(), choice) }
      await #expect(throws: FailoverError.self) { _ = try await bench.run(1) }
      #expect(try bench.find().catalog.fence == nil && bench.holds(3))
      _ = try await bench.run(2)
      #expect(try bench.holds(2))
    }
  }

  @Test("a fuzzy point is not taken because another one was failed over to before")
  func fuzzy() async throws {
    let bench = try FailoverBench()
    defer { bench.end() }
    try bench.replicate([0: 1])
    try bench.replicate([0: 2], label: .fuzzy)
    _ = try await bench.run(1)
    let choice = Failover.Choice(point: FailoverBench.point(2))
    #expect(try bench.failover.plan(try bench.find(), choice).fuzzyRefusal != nil)
    do {
      _ = try await bench.run(2)
      Issue.record("taken")
    } catch let error as FailoverError {
      guard case .fuzzyPoint = error else { throw error }
    }
    #expect(try bench.holds(1))
    _ = try await bench.run(2, fuzzy: true)
    _ = try await bench.run(2)
    #expect(try bench.holds(2))
  }
}
