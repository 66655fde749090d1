import Foundation
import Testing

/// Recovery points with the two real executables: listed, read, pinned, dropped, started.
extension EndToEnd {
  @Suite(.needs("qemu-img")) struct PointsTests {
    private static let pages = 512

    private struct Row: Decodable {
      let point: String
      let label: String
      let isNewest: Bool
      let undoBytes: Int64
      let pin: String?
      let problem: String?
    }

    /// A VM with passes; answers the disk as it was at each of them.
    private func makeLab(
      passes: Int, on mount: LoopMount? = nil, retention: String = ""
    ) throws -> (lab: Lab, versions: [Data]) {
      let lab = try Lab(on: mount)
      try lab.addDisk(subformat: "monolithicFlat", sizeBytes: Self.pages * 4096)
      try lab.writeVMX()
      try lab.configure(receiver: retention)
      try lab.startReceiver()
      let disk = FlatDisk(path: "\(lab.sourceFolder)/web01-flat.vmdk")
      var versions: [Data] = []
      for pass in 1...passes {
        let pages = pass == 1 ? Array(0..<200) : [pass, pass * 7 % 200, 300 + pass, 0]
        try disk.write(pages: pages) { page in
          (0..<4096).map { UInt8(truncatingIfNeeded: $0 &* (page + 3) &+ pass &* 31) }
        }
        versions.append(try disk.copy())
        try lab.pass()
      }
      return (lab, versions)
    }

    private func points(_ lab: Lab, _ arguments: [String]) throws -> ToolResult {
      try Tool.run([Tool.receiver, "points"] + arguments + ["--config", lab.receiverConfig], input: "")
    }

    private func rows(_ lab: Lab) throws -> [Row] {
      let decoder = JSONDecoder()
      decoder.keyDecodingStrategy = .convertFromSnakeCase
      let result = try points(lab, ["web01", "--json"])
      return try decoder.decode([Row].self, from: Data(result.output.utf8))
    }

    private func mounted(_ lab: Lab, _ point: String) throws -> Data {
      let result = try points(lab, ["mount", "web01", "--point", point])
      #expect(result.status == 0, "\(result.errors)")
      #expect(result.output.contains("checked against the point"), "\(result.output)")
      let folder = try lab.standbyFolder + "/points/\(point)"
      try Tool.must(["qemu-img", "info", "\(folder)/scsi0-0.vmdk"])
      return try Data(contentsOf: URL(fileURLWithPath: "\(folder)/scsi0-0-flat.vmdk"))
    }

    @Test("every point can be read beside the standby, also while the daemon runs, and is removed again")
    func mountEach() throws {
      let (lab, versions) = try makeLab(passes: 4)
      let list = try rows(lab)
      #expect(list.map(\.point) == ["1.4", "1.3", "1.2", "1.1"])
      #expect(list.map(\.isNewest) == [true, false, false, false])
      #expect(list.allSatisfy { $0.label == "crash-consistent" && $0.problem == nil })
      #expect(list.dropFirst().allSatisfy { $0.undoBytes > 0 && $0.undoBytes < 1 << 20 })
      let text = try points(lab, ["web01"])
      #expect(text.output.contains("1.4") && text.output.contains("newest"), "\(text.output)")
      for (index, version) in versions.enumerated() {
        #expect(try mounted(lab, "1.\(index + 1)") == version, "point 1.\(index + 1)")
      }
      #expect(try points(lab, ["mount", "web01", "--point", "1.2"]).status == 77, "it is there already")
      #expect(try points(lab, ["unmount", "web01", "--point", "1.2"]).status == 0)
      let folder = "\(try lab.standbyFolder)/points/1.2"
      #expect(try points(lab, ["unmount", "web01", "--point", "1.2"]).status == 64, "it is not mounted")
      #expect(!FileManager.default.fileExists(atPath: folder), "and nothing was made")
      // As a removal leaves it that was cut off behind the mark.
      try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
      #expect(try points(lab, ["unmount", "web01", "--point", "1.2"]).status == 0)
      #expect(!FileManager.default.fileExists(atPath: folder))
      #expect(try mounted(lab, "1.2") == versions[1])
      #expect(try points(lab, ["mount", "web01", "--point", "1.9"]).status == 77)
      // Replication is not disturbed by what stands beside the standby.
      try lab.pass()
      try lab.expectIdentical()
    }

    @Test("on a filesystem with reflink a point is a clone", .needsLoopMounts, .needs("mkfs.xfs"))
    func reflink() throws {
      let (lab, versions) = try makeLab(passes: 3, on: try LoopMount(.xfs, sizeGiB: 1))
      let result = try points(lab, ["mount", "web01", "--point", "1.1", "--json"])
      #expect(result.output.contains("\"is_reflink\" : true"), "\(result.output) \(result.errors)")
      let flat = try lab.standbyFolder + "/points/1.1/scsi0-0-flat.vmdk"
      #expect(try Data(contentsOf: URL(fileURLWithPath: flat)) == versions[0])
    }

    @Test("retention drops points as configured; a pinned one stays, a dropped one is gone")
    func retention() throws {
      let (lab, versions) = try makeLab(
        passes: 2, retention: "retention: {last: 2, hourly: 0, daily: 0, weekly: 0, floor: 0s}")
      #expect(try points(lab, ["pin", "web01", "1.1", "--reason", "before the upgrade"]).status == 0)
      for _ in 0..<3 { try lab.pass() }
      try eventually("retention") { try rows(lab).map(\.point) == ["1.5", "1.4", "1.1"] }
      #expect(try rows(lab).last?.pin == "before the upgrade")
      #expect(try mounted(lab, "1.1") == versions[0])
      let kept = try points(lab, ["drop", "web01", "1.1", "--yes"])
      #expect(kept.status == 77 && kept.errors.contains("pinned"), "\(kept.errors)")
      #expect(try points(lab, ["unpin", "web01", "1.1"]).status == 0)
      #expect(try points(lab, ["drop", "web01", "1.5", "--yes"]).status == 77, "the newest")
      let dropped = try points(lab, ["drop", "web01", "1.1", "--yes"])
      #expect(dropped.status == 0, "\(dropped.errors)")
      #expect(try rows(lab).map(\.point) == ["1.5", "1.4"])
    }

    @Test("failover to an older point starts exactly that one; until the VM runs, another can be chosen")
    func failover() throws {
      let (lab, versions) = try makeLab(passes: 4)
      try lab.stopReceiver()
      func failover(_ arguments: [String]) throws -> ToolResult {
        try Tool.run(
          [Tool.receiver, "failover", "web01", "--config", lab.receiverConfig] + arguments, input: "")
      }
      func disk() throws -> Data {
        try Data(contentsOf: URL(fileURLWithPath: "\(lab.standbyFolder)/scsi0-0-flat.vmdk"))
      }
      #expect(try failover(["--point", "1.9", "--yes"]).status == 64)
      let plan = try failover(["--point", "1.2", "--plan"])
      #expect(plan.status == 0 && plan.output.contains("going back"), "\(plan.output) \(plan.errors)")
      #expect(try disk() == versions[3], "a plan changes nothing")
      let done = try failover(["--point", "1.2", "--yes"])
      #expect(done.status == 0 && done.output.contains("recovery point 1.2"), "\(done.errors)")
      #expect(try disk() == versions[1])
      #expect(try failover(["--yes"]).output.contains("recovery point 1.2"), "it goes on to the same point")
      #expect(try failover(["--point", "1.4", "--yes"]).status == 0)
      #expect(try disk() == versions[3], "the newest was not lost")
      #expect(try failover(["--point", "1.1", "--yes"]).status == 0)
      #expect(try disk() == versions[0])
      try lab.startReceiver()
      let late = try lab.startPass().finish(seconds: 60)
      #expect(late.status == 77, "the old primary is refused")
      #expect(try disk() == versions[0])
    }
  }
}
