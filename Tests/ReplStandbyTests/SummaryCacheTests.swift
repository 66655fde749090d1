import Foundation
import ReplIO
import ReplModel
import ReplTestKit
import Testing

@testable import ReplStandby

/// What is kept of looks at a store, on a real file system.
@Suite struct SummaryCacheTests {
  private let folder = NSTemporaryDirectory() + "vmrepl-cache-\(UUID().uuidString)"

  /// Whose clock is an hour ahead: nothing has just changed.
  private func store() throws -> StandbyStore {
    for name in ["root", "state"] {
      try FileManager.default.createDirectory(atPath: "\(folder)/\(name)", withIntermediateDirectories: true)
    }
    let root = try PosixDirectory(path: folder + "/root")
    let time = ShiftedTime()
    _ = try StandbyStore.initialize(root: root, time: time)
    return try StandbyStore(
      root: root, state: PosixDirectory(path: folder + "/state"), receiver: ReceiverID(high: 7, low: 7),
      time: time, files: PlainFiles(), freeSpaceFloorBytes: 0)
  }

  private struct ShiftedTime: TimeSource {
    func monotonicNanoseconds() -> Int64 { SystemTime().monotonicNanoseconds() }
    func wallTime() -> WallTime {
      WallTime(millisecondsSince1970: SystemTime().wallTime().millisecondsSince1970 + 3_600_000)
    }
  }

  @Test("a standby that did not change is not read again, and one that another process changed is")
  func changes() throws {
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let (store, other) = (try store(), try store())
    let vm = VMID(high: 1, low: 2)
    let name = try store.create(vm: vm, displayName: "web", owner: "a").directoryName
    #expect(try store.standbys().first?.catalog?.fence == nil)
    let stamp = try #require(try store.cache.stamp(of: name, in: store.root))
    #expect(store.cache.summary(of: name, at: stamp) != nil, "it is kept")

    do {
      let standby = try #require(try other.open(vm: vm))
      try standby.fence(reason: "test")
    }
    #expect(try store.cache.stamp(of: name, in: store.root) != stamp)
    #expect(try store.standbys().first?.catalog?.fence != nil, "a fence that another process raised is seen")

    try FileManager.default.moveItem(atPath: "\(folder)/root/\(name)", toPath: "\(folder)/root/renamed")
    #expect(try store.standbys().map(\.directory) == ["renamed"])
    #expect(store.cache.summary(of: name, at: stamp) == nil, "what is gone is not kept")
    #expect(try store.open(vm: vm)?.directoryName == "renamed")
  }

  @Test("a standby with a journal is read each time: a commit changes no folder")
  func journal() throws {
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let store = try store()
    let name = try store.create(vm: VMID(high: 1, low: 2), displayName: "web", owner: "a").directoryName
    let journals = try store.root.openDirectory(name).openDirectory(".repl").openDirectory("journal")
    _ = try journals.openFile("x.journal", .createNew)
    _ = try store.standbys()
    let stamp = try #require(try store.cache.stamp(of: name, in: store.root))
    #expect(store.cache.summary(of: name, at: stamp) == nil)
    try journals.removeFile("x.journal")
    _ = try store.standbys()
    let quiet = try #require(try store.cache.stamp(of: name, in: store.root))
    #expect(quiet != stamp && store.cache.summary(of: name, at: quiet) != nil)
  }
}
