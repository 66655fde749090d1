import ReplIO
import ReplModel
import ReplTestKit
import Testing

@testable import ReplSource

@Suite("The audit of holes") struct HoleAuditTests {
  @Test(
    "a turn reads every leaf once, and a pass at most 8 MiB of the disk or one leaf",
    arguments: [
      (1, 4096), (8 << 20, 4096), (8 << 20 + 1, 4096), (1000 << 20 + 512, 4096), (777 << 20, 65_536),
      (777 << 20, 16_384),
    ] as [(Int64, Int)])
  func turn(size: Int64, pageSize: Int) throws {
    let grid = try #require(PageGrid(sizeBytes: size, pageSizeBytes: pageSize))
    let most = max(1, HoleAudit.bytesPerPass / Int64(grid.leafSizeBytes))
    var seen = [Int](repeating: 0, count: Int(grid.leafCount))
    let turns = UInt64((grid.leafCount + most - 1) / most)
    // Any number to begin with.
    for turn in 5..<(5 + turns) {
      let audit = HoleAudit(grid: grid, turn: turn)
      var (leaf, count) = (Int64(0), Int64(0))
      while let next = audit.nextLeaf(atOrAfter: leaf) {
        #expect(next >= leaf && audit.contains(next))
        seen[Int(next)] += 1
        (leaf, count) = (next + 1, count + 1)
      }
      #expect(count <= most)
    }
    #expect(seen.allSatisfy { $0 == 1 })
  }

  @Test("the first place is told, and nothing is distrusted until somebody says so")
  func contradiction() throws {
    let audit = HoleAudit(grid: try #require(PageGrid(sizeBytes: 1 << 30, pageSizeBytes: 4096)), turn: 0)
    #expect(audit.contradiction == nil && audit.isTrusted)
    audit.note(7)
    audit.note(3)
    #expect(audit.contradiction == 7 * 4096 && audit.isTrusted)
    audit.distrust()
    #expect(!audit.isTrusted)
  }
}

@Suite("Whose hints are distrusted") struct HintShelfTests {
  private let vm = VMID(high: 1, low: 2)

  private func entry(_ disk: UInt64, _ provider: String) -> HintDistrust.Entry {
    HintDistrust.Entry(
      disk: DiskID(high: 1, low: disk), slot: DiskSlot(bus: .scsi, controller: 0, unit: Int(disk % 15))!,
      provider: provider, at: WallTime(millisecondsSince1970: 1000), offset: 4096)
  }

  @Test("of two processes that write at once neither takes away what the other wrote")
  func together() async throws {
    let state = SimulatedMachine(disks: ["state"]).disk("state")
    let shelves = [try HintShelf(state: state), try HintShelf(state: state)]
    let vm = vm
    let entries = (0..<40).map { entry(UInt64($0), "chain") }
    try await withThrowingTaskGroup(of: Void.self) { group in
      for index in 0..<2 {
        group.addTask {
          try await NamedThread.run("shelf-\(index)") {
            for entry in entries.dropFirst(index * 20).prefix(20) { try shelves[index].add(entry, of: vm) }
          }
        }
      }
      try await group.waitForAll()
    }
    let known = try shelves[0].distrust(of: vm)
    #expect(known.entries.count == 40 && known.count == 40)
    #expect(try shelves[1].trust(vm)?.count == 15)
    #expect(try shelves[0].distrust(of: vm).entries == [])
  }

  @Test("what speaks against a source and what speaks against holes stand side by side")
  func kinds() throws {
    let shelf = try HintShelf(state: SimulatedMachine(disks: ["state"]).disk("state"))
    for provider in ["chain", ViewHints.holes, "reflink"] { try shelf.add(entry(1, provider), of: vm) }
    let known = try shelf.distrust(of: vm)
    #expect(known.entries.map(\.provider) == [ViewHints.holes, "reflink"] && known.count == 3)
  }
}
