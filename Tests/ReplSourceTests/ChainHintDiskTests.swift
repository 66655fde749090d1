import Foundation
import Glibc
import ReplIO
import ReplModel
import ReplTestKit
import ReplVMDK
import Testing

@testable import ReplSource

/// Hints from chains that qemu-img makes, writes, cuts and merges, against what the disk holds.
@Suite("Hints from chains on disk", .needs("qemu-img", "qemu-io")) struct ChainHintDiskTests {
  /// A disk of 1 MiB with snapshots.
  private final class Chain {
    let folder: PrimaryFolder
    /// The base first.
    var names = ["web"]
    private var count = 0

    init() throws { folder = try PrimaryFolder() }

    func snapshot() async throws {
      count += 1
      let name = "web-\(count)"
      try await tool(
        "qemu-img", "create", "-q", "-f", "vmdk", "-F", "vmdk", "-b", path(names.last!), path(name))
      names.append(name)
    }

    /// What the top holds is lost.
    func revert() async throws {
      try folder.remove("\(names.removeLast()).vmdk")
      try await snapshot()
    }

    /// The top goes into its parent.
    func merge() async throws {
      try await tool("qemu-img", "commit", "-q", "-f", "vmdk", path(names.last!))
      try folder.remove("\(names.removeLast()).vmdk")
    }

    func write(_ value: Int, at grain: Int) async throws {
      try await tool("qemu-io", "-f", "vmdk", "-c", "write -P \(value) \(grain << 16) 8k", path(names.last!))
    }

    private func path(_ name: String) -> String { "\(folder.path)/\(name).vmdk" }

    private func tool(_ arguments: String...) async throws {
      try await SystemTool.run(["env", "-C", folder.path] + arguments)
    }

    /// The disk as a pass finds it.
    func disk() throws -> ViewDisk {
      let image = try VMDKImage.open("\(names.last!).vmdk", in: PosixDirectory(path: folder.path))
      return ViewDisk(
        id: DiskID(high: 1, low: 1), slot: DiskSlot("scsi0:0")!, image: image, facts: image.facts)
    }
  }

  private func content(_ disk: ViewDisk) throws -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: Int(disk.image.sizeBytes))
    try bytes.withUnsafeMutableBytes { try disk.image.read(into: $0, at: 0) }
    return bytes
  }

  private func known(_ token: HintRecord.Token, _ disk: ViewDisk) -> HintRecord.Disk {
    HintRecord.Disk(
      disk: disk.id, slot: disk.slot, grid: PageGrid(sizeBytes: disk.image.sizeBytes, pageSizeBytes: 4096)!,
      turn: HintAudit.Turn(nextSlice: 0, at: WallTime(millisecondsSince1970: 0)), token: token)
  }

  @Test("whatever becomes of the snapshots, every byte that differs lies in a range, or there is no hint")
  func anyLife() async throws {
    let seed = UInt64.random(in: 0...UInt64.max)
    print("chain seed: \(seed)")
    var random = SeededRandom(seed: seed)
    let chain = try Chain()
    // All files are old by then.
    let later = WallTime(
      millisecondsSince1970: SystemTime().wallTime().millisecondsSince1970 + 3_600_000)
    var (before, token): ([UInt8], HintRecord.Token?) = ([], nil)
    var used = 0
    for round in 1...14 {
      switch Int.random(in: 0..<5, using: &random) {
      case 0 where chain.names.count < 5: try await chain.snapshot()
      case 1 where chain.names.count > 1: try await chain.revert()
      case 2 where chain.names.count > 2: try await chain.merge()
      default: break
      }
      if chain.names.count == 1 { try await chain.snapshot() }
      try await chain.write(round, at: Int.random(in: 0..<16, using: &random))
      let disk = try chain.disk()
      let after = try content(disk)
      let answer = ChainHint(frozenAt: later).answer(for: disk, since: token.map { known($0, disk) })
      if let changed = try? answer.changed.get() {
        used += 1
        for page in 0..<256
        where before[(page * 4096)..<((page + 1) * 4096)] != after[(page * 4096)..<((page + 1) * 4096)] {
          let range = ByteRange(offset: Int64(page * 4096), length: 4096)
          #expect(changed.touches(range), "round \(round), page \(page), seed \(seed)")
        }
      }
      (before, token) = (after, answer.token)
    }
    #expect(used > 5, "seed \(seed)")
  }

  @Test("a base that is written to, and a disk without snapshots, give no hint; what is left alone gives all")
  func base() async throws {
    let chain = try Chain()
    let now = SystemTime().wallTime()
    let later = WallTime(millisecondsSince1970: now.millisecondsSince1970 + 3_600_000)
    let disk = try chain.disk()
    let first = ChainHint(frozenAt: later).answer(for: disk, since: nil)
    let token = try #require(first.token)
    let same = ChainHint(frozenAt: later).answer(for: try chain.disk(), since: known(token, disk))
    #expect(try same.changed.get().ranges == [])
    // The files were written just before.
    let young = try #require(ChainHint(frozenAt: now).answer(for: disk, since: nil).token)
    let tooYoung = ChainHint(frozenAt: later).answer(for: disk, since: known(young, disk))
    #expect(throws: HintRefusal.self) { try tooYoung.changed.get() }
    try chain.folder.write("web-flat.vmdk", [UInt8](repeating: 8, count: 1 << 20))
    let written = ChainHint(frozenAt: later).answer(for: try chain.disk(), since: known(token, disk))
    #expect(throws: HintRefusal.self) { try written.changed.get() }
  }
}
