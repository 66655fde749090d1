import Foundation
import Glibc
import ReplTestKit
import Testing

/// Killing a process keeps the page cache: this proves the order of steps, not durability, which the sweeps
/// over simulated storage prove.
extension EndToEnd {
  @Suite(.needs("qemu-img")) struct KillTests {
    static let kills = 200
    static let pages = 2048

    @Test(
      "200 kills of either process at random moments: always exactly one committed point, then it catches up"
    )
    func kills() throws {
      let seed =
        ProcessInfo.processInfo.environment["VMREPL_SEED"].flatMap(UInt64.init)
        ?? UInt64.random(in: 0...UInt64.max)
      print("kill test seed: \(seed) (set VMREPL_SEED to run it again)")
      var random = SeededRandom(seed: seed)
      let lab = try Lab()
      try lab.addDisk(subformat: "monolithicFlat", sizeBytes: Self.pages * 4096)
      try lab.writeVMX()
      try lab.configure()
      try lab.startReceiver()
      let disk = FlatDisk(path: "\(lab.sourceFolder)/web01-flat.vmdk")
      try disk.write(pages: Array(0..<1024)) { page in
        (0..<4096).map { UInt8(truncatingIfNeeded: $0 &* page) }
      }
      let began = Date()
      try lab.pass()
      // Somewhat longer than a pass, so that its end and the time after it are hit as well.
      let span = Date().timeIntervalSince(began) * 1.3
      // Every version offered since the last one that was seen committed, oldest first: a commit that was
      // under way when its sender died may still show up a moment later, but never does an older version come
      // back.
      var versions = [try disk.copy()]
      var unseen = 0
      for number in 1...Self.kills {
        let count = Int.random(in: 1...200, using: &random)
        try disk.write(pages: (0..<count).map { _ in Int.random(in: 0..<Self.pages, using: &random) }) { _ in
          let value = UInt8.random(in: 0...255, using: &random)
          let noise = UInt8.random(in: 0...255, using: &random)
          return (0..<4096).map { value == 0 ? 0 : UInt8(truncatingIfNeeded: $0 &* Int(noise)) ^ value }
        }
        versions.append(try disk.copy())
        let pass = try lab.startPass()
        let killsReceiver = Bool.random(using: &random)
        usleep(UInt32(Double.random(in: 0...span, using: &random) * 1e6))
        if killsReceiver {
          lab.receiver?.signal(SIGKILL)
          try lab.receiver?.finish(seconds: 10)
          pass.signal(SIGKILL)
          try pass.finish(seconds: 10)
          try lab.startReceiver()
          try eventually("recovery") { lab.receiver?.errors.contains("recovered") == true }
        } else {
          pass.signal(SIGKILL)
          try pass.finish(seconds: 10)
        }
        let context = "kill \(number) of the \(killsReceiver ? "receiver" : "sender"), seed \(seed)"
        let seen = try standbyVersion(lab, among: versions, context)
        if seen < versions.count - 1 { unseen += 1 }
        versions.removeFirst(seen)
        if number % 20 == 0 {
          try lab.pass()
          versions = [try disk.copy()]
          #expect(try lab.isIdentical(disk: 0), "\(context)")
        }
      }
      try lab.pass()
      try lab.expectIdentical()
      print("\(Self.kills) kills, \(unseen) of them before the commit")
      #expect(unseen > 0 && unseen < Self.kills, "the kills must fall on both sides of the commit")
    }

    /// Waits until the standby is not settling, and says which of the versions it is; no other content is
    /// allowed.
    private func standbyVersion(_ lab: Lab, among versions: [Data], _ context: String) throws -> Int {
      let folder = try lab.standbyFolder
      let marker = "\(folder)/SETTLING.txt"
      var answer: Int?
      try eventually("one committed point after \(context)") {
        guard !FileManager.default.fileExists(atPath: marker) else { return false }
        let standby = try Data(contentsOf: URL(fileURLWithPath: "\(folder)/scsi0-0-flat.vmdk"))
        guard !FileManager.default.fileExists(atPath: marker) else { return false }
        answer = versions.lastIndex(of: standby)
        return answer != nil
      }
      return try #require(answer)
    }
  }
}
