import Foundation
import Glibc
import ReplIO
import ReplModel
import ReplTestKit
import Testing

@testable import ReplPass
@testable import ReplSource

/// Passes that leave out what a hint calls unchanged, over real TLS and simulated storage.
@Suite struct HintPassTests {
  private static let pagesOfLeaf = 256

  @Test("a hint spares reading what did not change, and the standby has every byte that did")
  func spares() throws {
    let lab = try HintLab(leaves: 16)
    defer { lab.end() }
    let first = try lab.pass()
    #expect(first.refusals.allSatisfy { $0 != nil } && first.report.pass.readBytes > 16 << 20)
    // Two leaves, one of them by its last, short page.
    let last = 16 * Self.pagesOfLeaf
    lab.write(pages: [3 * Self.pagesOfLeaf + 7, last])
    let second = try lab.pass()
    #expect(second.refusals == [nil, nil])
    #expect(try lab.isStandbyRight())
    // Besides them one slice of the audit and the small disk.
    #expect(second.report.pass.readBytes <= Int64(3 << 20) + (64 << 10), "\(second.report.pass.readBytes)")
    let third = try lab.pass()
    #expect(third.report.pass.readBytes <= Int64(1 << 20) + (64 << 10) && third.report.pass.changedBytes == 0)
    #expect(try lab.isStandbyRight())
  }

  @Test("a lie in an audited leaf is found: that pass reads all of the disk, and the standby is right")
  func lieInAuditedLeaf() throws {
    let lab = try HintLab()
    defer { lab.end() }
    _ = try lab.pass()
    // The audit begins with leaf 0; the second lie lies where it does not look this time.
    lab.hide([ByteRange(offset: 0, length: 4 << 20)])
    lab.write(pages: [9, 2 * Self.pagesOfLeaf + 3])
    let caught = try lab.pass()
    #expect(caught.outcomes[0].contradictionOffset == 9 * 4096 && caught.outcomes[1].refusal == nil)
    #expect(try lab.isStandbyRight())
    #expect(lab.events.contains { $0.level == .error && $0.text.contains("hint trust") }, "\(lab.events)")
    // From now on the disk's hints are not used, whatever they say.
    lab.write(pages: [3 * Self.pagesOfLeaf])
    let after = try lab.pass()
    #expect(after.outcomes[0].refusal?.contains("hint trust") == true && after.outcomes[1].refusal == nil)
    #expect(try lab.isStandbyRight())
    // Until somebody says so.
    #expect(try lab.shelf().trust(Pair.vm)?.count == 1)
    lab.hide([])
    lab.write(pages: [3 * Self.pagesOfLeaf + 1])
    #expect(try lab.pass().refusals == [nil, nil])
    #expect(try lab.isStandbyRight())
    #expect(try lab.shelf().distrust(of: Pair.vm).count == 1)
  }

  @Test("a lie that the audit does not look at is found within one turn of it")
  func lieElsewhere() throws {
    let lab = try HintLab(leaves: 6)
    defer { lab.end() }
    _ = try lab.pass()
    lab.hide([ByteRange(offset: 0, length: 7 << 20)])
    lab.write(pages: [4 * Self.pagesOfLeaf + 100])
    var passes = 0
    var isFound = false
    while !isFound, passes < 8 {
      isFound = try lab.pass().outcomes[0].contradictionOffset != nil
      passes += 1
    }
    #expect(isFound && passes > 1, "\(passes) passes")
    #expect(try lab.isStandbyRight())
  }

  @Test("a lie beside a change, in a leaf that is read for that, is found at once")
  func lieBesideChange() throws {
    let lab = try HintLab()
    defer { lab.end() }
    _ = try lab.pass()
    let page = 3 * Self.pagesOfLeaf + 50
    lab.hide([ByteRange(offset: Int64(page * 4096), length: 4096)])
    lab.write(pages: [page, page + 1])
    #expect(try lab.pass().outcomes[0].contradictionOffset == Int64(page * 4096))
    #expect(try lab.isStandbyRight())
  }

  @Test("a turn of the audit that is overdue reads everything")
  func overdue() throws {
    let lab = try HintLab()
    defer { lab.end() }
    lab.use(HintSettings(provider: .chain, auditDays: 1e-9))
    _ = try lab.pass()
    lab.hide([ByteRange(offset: 0, length: 4 << 20)])
    lab.write(pages: [3 * Self.pagesOfLeaf + 1])
    #expect(try lab.pass().outcomes[0].contradictionOffset != nil)
    #expect(try lab.isStandbyRight())
  }

  @Test("a record of an earlier point fits nothing, and everything is read")
  func staleRecord() throws {
    let lab = try HintLab()
    defer { lab.end() }
    _ = try lab.pass()
    lab.write(pages: [3 * Self.pagesOfLeaf + 1])
    // Commits a point that the record does not know of.
    _ = try lab.pass(hinted: false)
    lab.hide([ByteRange(offset: 0, length: 4 << 20)])
    lab.write(pages: [2 * Self.pagesOfLeaf + 1])
    let next = try lab.pass()
    #expect(next.refusals.allSatisfy { $0?.contains("the record is of point") == true }, "\(next.refusals)")
    #expect(try lab.isStandbyRight())
  }

  @Test("without the base map, with another size, from elsewhere: everything is read", arguments: 0...2)
  func unfit(_ what: Int) throws {
    let lab = try HintLab()
    defer { lab.end() }
    _ = try lab.pass()
    lab.hide([ByteRange(offset: 0, length: 8 << 20)])
    lab.write(pages: [2 * Self.pagesOfLeaf + 1])
    switch what {
    case 0:
      let maps = try lab.pair.sender.disk("state").openDirectory("maps")
        .openDirectory("\(ReceiverID(high: 7, low: 7))").openDirectory("\(Pair.vm)")
      for name in try maps.entryNames() { try maps.removeFile(name) }
    case 1: lab.replace(with: [lab.now[0] + [UInt8](repeating: 3, count: 1 << 20), lab.now[1]])
    default: lab.use(HintSettings(provider: .reflink))
    }
    let next = try lab.pass()
    #expect(next.outcomes[0].refusal != nil)
    #expect(try lab.isStandbyRight())
  }

  @Test(
    "a record with one other bit is none, and so is what was distrusted", arguments: ["hint", "distrust"])
  func damaged(_ kind: String) throws {
    let lab = try HintLab()
    defer { lab.end() }
    _ = try lab.pass()
    lab.hide([ByteRange(offset: 0, length: 4 << 20)])
    let directory = try lab.pair.sender.disk("state").openDirectory("hints")
    let name = "\(Pair.vm).\(kind)"
    if kind == "distrust" {
      lab.write(pages: [1])
      _ = try lab.pass()
    }
    var bytes = try directory.readFile(name, limitBytes: 1 << 20)
    bytes[bytes.count - 9] ^= 1
    try directory.replaceFile(name, with: bytes)
    lab.write(pages: [2 * Self.pagesOfLeaf + 1])
    let next = try lab.pass()
    #expect(next.refusals.allSatisfy { $0 != nil }, "\(next.refusals)")
    #expect(try lab.isStandbyRight())
    // What the operator says counts.
    #expect(try lab.shelf().trust(Pair.vm) == (kind == "distrust" ? nil : []))
    #expect(try lab.pass().refusals == [nil, nil])
  }

  @Test("a distrust that cannot be written holds all the same, without a record of the disk, until it can be")
  func unwritten() throws {
    let path = NSTemporaryDirectory() + "vmrepl-shelf-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    // Best effort: a leftover in the temporary folder harms nobody.
    defer { try? FileManager.default.removeItem(atPath: path) }
    let lab = try HintLab()
    defer { lab.end() }
    lab.use(try HintShelf(state: try PosixDirectory(path: path)))
    _ = try lab.pass()
    lab.hide([ByteRange(offset: 0, length: 4 << 20)])
    // No file can be written aside.
    let obstacle = "\(path)/hints/\(Pair.vm).distrust.new"
    try #require(mkdir(obstacle, 0o700) == 0)
    lab.write(pages: [9])
    #expect(try lab.pass().outcomes[0].contradictionOffset == 9 * 4096)
    #expect(lab.events.contains { $0.text.contains("cannot be written down yet") })
    for page in [3, 2] {
      guard case .record(let record) = try lab.shelf().record(of: Pair.vm) else {
        Issue.record("there is no record")
        return
      }
      #expect(record.disks.map(\.disk) == [Pair.disks[1]])
      lab.write(pages: [page * Self.pagesOfLeaf + 7])
      let after = try lab.pass()
      #expect(after.outcomes[0].refusal?.contains("hint trust") == true && after.outcomes[1].refusal == nil)
      #expect(try lab.isStandbyRight())
    }
    try #require(rmdir(obstacle) == 0)
    _ = try lab.pass()
    let other = try HintShelf(state: try PosixDirectory(path: path))
    #expect(try other.distrust(of: Pair.vm).entries.map(\.disk) == [Pair.disks[0]])
    #expect(try other.distrust(of: Pair.vm).count == 1)
  }
}
