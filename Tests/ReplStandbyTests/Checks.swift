import Glibc
import ReplDigest
import ReplIO
import ReplModel
import ReplTestKit
import Testing

@testable import ReplStandby

/// Checks of the promises, for use after every fault.
struct Checks {
  /// By pass: what the source had.
  let senders: [PassID: Sender]

  init(_ senders: [Sender]) {
    self.senders = Dictionary(
      uniqueKeysWithValues: senders.enumerated().map { (Bench.pass($0.offset + 1), $0.element) })
  }

  /// P1 and P2: the standby holds exactly its newest point, byte for byte and digest for digest, and no
  /// marker is left.
  func holdsItsNewestPoint(_ standby: Standby, on machine: SimulatedMachine, _ context: String) throws {
    let home = try machine.disk("store").openDirectory(standby.directoryName)
    #expect(try !home.contains("SETTLING.txt"), "\(context): marker left behind")
    guard let point = standby.catalog.newest else {
      #expect(try !home.contains("web-01.vmx"), "\(context): a VMX before the first point")
      return
    }
    let sender = try #require(senders[point.pass], "\(context): unknown pass \(point.pass)")
    for (index, disk) in Bench.diskIDs.enumerated() {
      let entry = try #require(standby.catalog.disk(disk))
      #expect(entry.grid == sender.grids[index], "\(context): size of disk \(index) in the catalog")
      let bytes = try Bench.bytes(of: standby.openDiskFile(entry, .read))
      #expect(
        isSame(bytes, sender.image.disks[index]),
        "\(context): disk \(index) is not that of \(point.reference)")
      #expect(point.disk(disk)?.root == sender.roots[index], "\(context): root of disk \(index)")
      let report = try standby.verifyDisk(disk)
      #expect(report.isClean, "\(context): \(report)")
      #expect(report.pagesChecked == sender.grids[index].pageCount, "\(context): \(report)")
      let descriptor = try Bench.bytes(of: home.openFile(entry.descriptorFileName, .read))
      #expect(String(decoding: descriptor, as: UTF8.self).hasSuffix(" \(point.reference)\n"), "\(context)")
    }
    let vmx = try Bench.bytes(of: home.openFile("web-01.vmx", .read))
    #expect(vmx == Array("# replicated\n".utf8) + sender.image.vmx, "\(context): VMX")
    #expect(
      try Bench.bytes(of: home.openFile("web-01.nvram", .read)) == sender.image.nvram, "\(context): NVRAM")
    try hasTheWayBack(standby, on: machine, context)
  }

  /// The undo files of all points but the newest are there and sealed, and that of the one before it leads
  /// there.
  private func hasTheWayBack(_ standby: Standby, on machine: SimulatedMachine, _ context: String) throws {
    let points = standby.home.points
    let (before, newest) = (standby.catalog.points.dropLast().last, standby.catalog.points.last)
    guard let before, let newest else { return }
    let name = StandbyLayout.undo(backTo: before.reference)
    let names = try points.entryNames().filter { $0.hasSuffix(".undo") }
    let expected = standby.catalog.points.dropLast().map { StandbyLayout.undo(backTo: $0.reference) }.sorted()
    // One of a point that was dropped may still be there: the next retention removes it.
    #expect(Set(names).isSuperset(of: expected), "\(context): \(names)")
    let reader = try #require(try RecordReader.open(points.openFile(name, .read)), "\(context)")
    let older = try #require(senders[before.pass])
    let newer = try #require(senders[newest.pass])
    var disks = newer.image.disks
    var isSealed = false
    while let record = try reader.next() {
      if record.type == .seal { isSealed = true }
      guard record.type == .batch else { continue }
      let batch = try #require(BatchRecord(record, disks: reader.header.description.disks))
      let index = try #require(
        Bench.diskIDs.firstIndex(of: reader.header.description.disks[batch.diskIndex].disk))
      let grid = reader.header.description.disks[batch.diskIndex].grid
      #expect(grid == older.grids[index], "\(context): the undo file has not the older point's size")
      let data = try BatchOpener().inflateCopy(batch)
      var offset = 0
      for run in batch.runs {
        let range = grid.bytes(of: run.pages)
        let bytes =
          run.kind == .zero
          ? [UInt8](repeating: 0, count: Int(range.length))
          : Array(data[offset..<(offset + Int(range.length))])
        if run.kind == .data { offset += Int(range.length) }
        disks[index].replaceSubrange(Int(range.offset)..<Int(range.end), with: bytes)
      }
    }
    #expect(isSealed, "\(context): undo file without a seal")
    // What is behind an older end is cut off on the way back.
    let leadsBack = Bench.diskIDs.indices.allSatisfy { index in
      let then = older.image.disks[index]
      return before.disk(Bench.diskIDs[index]) == nil
        || isSame(Array(disks[index].prefix(then.count)), then)
    }
    #expect(leadsBack, "\(context): the undo file does not lead back to the older point")
  }
}

extension BatchOpener {
  func inflateCopy(_ batch: BatchRecord) throws -> [UInt8] {
    [UInt8](copying: try inflate(batch.codec, batch.payload, rawLength: batch.rawLength))
  }
}

/// As `==`, which takes most of the tests' time in debug builds.
func isSame(_ left: [UInt8], _ right: [UInt8]) -> Bool {
  left.count == right.count
    && left.withUnsafeBytes { left in
      right.withUnsafeBytes { memcmp(left.baseAddress!, $0.baseAddress!, left.count) == 0 }
    }
}
