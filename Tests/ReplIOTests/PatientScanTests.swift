import ReplModel
import Testing

@testable import ReplIO

/// Looks at things of which some hang.
@Suite("A patient scan") struct PatientScanTests {
  private func names(_ answers: [PatientScan.Answer<String>]) -> [String?] {
    answers.map { if case .found(let name) = $0 { name } else { nil } }
  }

  @Test("what hangs is left out and not asked again, the others are not, and it is back when it answers")
  func hangs() {
    let gate = Monitor(false)
    let asked = Monitor<[String: Int]>([:])
    defer { gate.withLock { $0 = true } }
    let scan = PatientScan(time: SystemTime(), patienceSeconds: 0.2, hangingLimit: 2)
    let look: @Sendable (String) -> String = { name in
      asked.withLock { $0[name, default: 0] += 1 }
      if name.hasPrefix("hung") { _ = gate.wait(seconds: 60) { $0 ? true : nil } }
      return name
    }
    #expect(names(scan.run(["a", "hung1", "b"], look)) == ["a", nil, "b"])
    #expect(names(scan.run(["a", "hung1", "b"], look)) == ["a", nil, "b"])
    #expect(asked.withLock { $0["hung1"] } == 1)
    #expect(!scan.isSilent(["a", "hung1", "b"]))
    // As many hang as one storage may have: what comes after them is not asked.
    #expect(names(scan.run(["a", "hung1", "hung2", "c"], look)) == ["a", nil, nil, nil])
    #expect(scan.isSilent(["a", "hung1", "hung2", "c"]))
    // That is no reason to leave others out.
    #expect(names(scan.run(["d", "e"], look)) == ["d", "e"] && !scan.isSilent(["d", "e"]))
    gate.withLock { $0 = true }
    let deadline = Deadline(seconds: 10)
    while names(scan.run(["hung1", "hung2"], look)) != ["hung1", "hung2"], !deadline.hasPassed {}
    #expect(names(scan.run(["hung1", "hung2"], look)) == ["hung1", "hung2"])
  }

  @Test("a path lies in the mount with the longest name before it")
  func mounts() {
    let table = MountTable(points: ["/", "/srv", "/srv/ds1", "/srv/ds"])
    let wanted = [
      "/srv/ds1/a": "/srv/ds1", "/srv/ds1": "/srv/ds1", "/srv/ds10/a": "/srv", "/x": "/",
      "/srv/ds/b": "/srv/ds",
    ]
    for (path, point) in wanted { #expect(table.point(of: path) == point) }
    #expect(MountTable.plain("/srv/my\\040store\\134x") == "/srv/my store\\x")
    #expect(MountTable.current().point(of: "/proc/self/status") == "/proc")
  }
}
