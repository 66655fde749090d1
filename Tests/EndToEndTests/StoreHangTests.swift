import Foundation
import Glibc
import ReplModel
import Testing

/// One of two stores stands still.
extension RealTime {
  @Suite(.needs("curl", "fsfreeze", "mkfs.ext4", "qemu-img"), .needsLoopMounts, .timeLimit(.minutes(4)))
  struct StoreHangTests {
    @Test(
      "row 19: a store that hangs delays no VM of another one, no status, no start and no end of the receiver"
    )
    func frozen() throws {
      let mount = try ImageMount(sizeMiB: 64)
      let fleet = try Fleet(vms: 2, senders: 2)
      try fleet.start(interval: "10s", secondStore: "\(mount.path)/dr")
      try eventually(seconds: 60, "first points") { try fleet.greatestLag() != nil }

      // At the start.
      try fleet.stopReceiver()
      var ice = try FrozenMount(mount.path)
      try fleet.startReceiver()
      try expectOnlyTheOther(fleet)
      let receiver = try #require(fleet.receiver)
      let probed = receiver.errors.split(separator: "\n").filter { $0.contains(" store-probing ") }
      #expect(probed.contains { $0.contains("store=ice") }, "\(receiver.errors)")
      receiver.signal(SIGTERM)
      try eventually(seconds: 10, "the end") { receiver.errors.contains(" stopped") }
      ice.thaw()
      try receiver.finish(seconds: 10)

      // While it is in use.
      try fleet.startReceiver()
      try expectNext(fleet, [0, 1], "both")
      ice = try FrozenMount(mount.path)
      try expectOnlyTheOther(fleet)
      ice.thaw()
      try expectNext(fleet, [0, 1], "both again")
      try eventually("all is well") {
        let document = try fleet.receiverStatus()
        return document.warnings == nil && document.vms.allSatisfy { $0.lastFailure == nil }
      }
    }

    private func expectOnlyTheOther(_ fleet: Fleet) throws {
      try expectNext(fleet, [0], "the other store's")
      try eventually("it is told") {
        let began = Date()
        let document = try fleet.receiverStatus()
        #expect(Date().timeIntervalSince(began) < 5)
        return document.warnings?.contains { $0.contains("store ice") && $0.contains("not answered") } == true
          && document.vms.first { $0.name == fleet.vms[1].name }?.lastFailure != nil
      }
      let health = try Tool.run(["curl", "-s", "http://127.0.0.1:\(fleet.receiverPages)/healthz"])
      #expect(health.output.contains("store ice"), "\(health.output)")
      let well = try fleet.receiverStatus().vms.first { $0.name == fleet.vms[0].name }
      #expect(well?.lastFailure == nil, "\(String(describing: well))")
    }

    private func expectNext(_ fleet: Fleet, _ numbers: [Int], _ what: String) throws {
      let before = try points(fleet)
      try eventually(seconds: 90, "next points: \(what)") {
        let now = try points(fleet)
        return numbers.allSatisfy {
          now[fleet.vms[$0].name, default: 0] > before[fleet.vms[$0].name, default: 0]
        }
      }
    }

    private func points(_ fleet: Fleet) throws -> [String: UInt64] {
      Dictionary(
        try fleet.status().map { ($0.name, UInt64($0.newestPoint?.reference.number ?? 0)) },
        uniquingKeysWith: max)
    }
  }
}
