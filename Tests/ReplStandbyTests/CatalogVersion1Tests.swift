import ReplDigest
import ReplIO
import ReplModel
import ReplTestKit
import Testing

@testable import ReplStandby

/// What a version before this one left in a store.
@Suite("Catalogs of format 1") struct CatalogVersion1Tests {
  @Test("a standby of format 1 keeps its points, and its next pass goes through")
  func upgrade() throws {
    let machine = try Bench.machine()
    let senders = try [Bench.firstImage(), Bench.secondImage(), Bench.thirdImage()].map { try Sender($0) }
    for number in [1, 2] {
      try senders[number - 1].replicate(number, to: try Bench.standby(in: Bench.store(on: machine)))
    }
    let directory = try #require(try Bench.store(on: machine).standbys().first).directory
    let hidden = try machine.disk("store").openDirectory(directory).openDirectory(".repl")
    try Self.downgrade(hidden, newest: senders[1])
    let store = try Bench.store(on: machine)
    let catalog = try #require(try store.standbys().first?.catalog)
    #expect(catalog.points.map(\.pass) == [Bench.pass(1), Bench.pass(2)])
    #expect(catalog.kept.map { $0.vmxHash == nil } == [true, false], "only the newest point had its files")
    let standby = try Bench.standby(in: store)
    try standby.checkStartable()
    try senders[2].replicate(3, to: standby)
    try Checks(senders).holdsItsNewestPoint(standby, on: machine, "after the upgrade")
    let line = try Bench.bytes(of: hidden.openFile("catalog", .read)).prefix(16)
    #expect(String(decoding: line, as: UTF8.self) == "vmrepl-catalog 2")
  }

  /// Writes catalog and source files as format 1 had them.
  private static func downgrade(_ hidden: any StorageDirectory, newest: Sender) throws {
    let catalog = try #require(try Catalog.load(from: hidden))
    let old = CatalogVersion1(
      standby: catalog.standby, slug: catalog.slug, vm: catalog.vm, displayName: catalog.displayName,
      owner: catalog.owner, receiver: catalog.receiver, createdAt: catalog.createdAt, epoch: catalog.epoch,
      fence: nil, divergence: nil, disks: catalog.disks, points: catalog.points,
      vmxHash: catalog.kept.last?.vmxHash, nvramHash: catalog.kept.last?.nvramHash)
    let json = try RecordJSON.encode(old)
    let checksum = try json.withUnsafeBytes { try RecordChecksum().compute([$0]) }
    let line = "vmrepl-catalog 1 \(HexText.encode(checksum.bytes)) \(json.count)\n"
    try hidden.replaceFile("catalog", with: Array(line.utf8) + json)
    let files = try hidden.openDirectory("files")
    for name in try files.entryNames() { try files.removeFile(name) }
    try hidden.replaceFile("source.vmx", with: newest.image.vmx)
    try hidden.replaceFile("source.nvram", with: newest.image.nvram)
  }
}
