import Foundation
import ReplIO
import ReplModel
import ReplPass
import ReplService
import ReplTestKit
import Testing

@testable import ReplSender

/// What the roster remembers, and how the board shows it.
@Suite("Roster memory")
struct RosterMemoryTests {
  /// A primary with VMX files that name no disk that exists: only identities are read.
  private final class Primary {
    let path = FileManager.default.temporaryDirectory.appendingPathComponent("p-\(UUID().uuidString)").path
    let machine = SimulatedMachine(disks: ["state"])

    // Best effort: a leftover in the temporary folder harms nobody.
    deinit { try? FileManager.default.removeItem(atPath: path) }

    func write(_ file: String, _ number: UInt64, name: String) throws {
      let url = URL(fileURLWithPath: "\(path)/\(file)")
      try FileManager.default.createDirectory(
        at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
      let text = """
        .encoding = "UTF-8"
        displayName = "\(name)"
        uuid.bios = "\(RosterFixture.id(number))"
        scsi0.present = "TRUE"
        scsi0:0.present = "TRUE"
        scsi0:0.fileName = "a.vmdk"

        """
      try text.write(to: url, atomically: true, encoding: .utf8)
    }

    func remove(_ file: String) throws { try FileManager.default.removeItem(atPath: "\(path)/\(file)") }

    func config(_ rest: String) throws -> SenderConfig {
      let fingerprint = "sha256:" + String(repeating: "ab", count: 32)
      let receiver = "receiver: {address: \"dr:7443\", fingerprint: \(fingerprint)}\n"
      return try SenderConfig.parse(receiver + rest, path: "s.yaml")
    }

    func roster(policy: String = "protect") throws -> Roster {
      Roster(
        try config("folders: [{path: \(path), policy: \(policy)}]"), directory: machine.disk("state"),
        time: ManualTime())
    }

    func board() throws -> StatusBoard {
      try StatusBoard(directory: try machine.disk("state").createDirectory("status"))
    }
  }

  @Test("who was gone is gone after a restart, with its name and point, and comes back with both")
  func restart() throws {
    let primary = Primary()
    try primary.write("a/a.vmx", 1, name: "web")
    let (first, board) = (try primary.roster(), try primary.board())
    #expect(first.look(keeps: true).joined.count == 1)
    try first.show(on: board, keeps: true)
    let reference = PointReference(epoch: Epoch(1), number: 4)
    board.update(RosterFixture.id(1)) {
      $0.enter(.init(reference: reference, frozenAt: RosterFixture.moment, label: .crashConsistent))
    }
    try board.keep(RosterFixture.id(1))
    try primary.remove("a/a.vmx")
    let changes = first.look(keeps: true)
    #expect(changes.gone.map(\.vm) == [RosterFixture.id(1)] && changes.left.count == 1)
    #expect(first.look(keeps: true).gone.isEmpty, "said once")
    try first.show(on: board, keeps: true)

    let (second, after) = (try primary.roster(), try primary.board())
    #expect(second.look(keeps: true).gone.isEmpty, "nor after a restart")
    try second.show(on: after, keeps: true)
    let gone = try #require(after.all.first)
    #expect(gone.name == "web" && gone.state == .failing && gone.newestPoint?.reference == reference)
    #expect(gone.lastFailure?.remedy == .stopVM && gone.vmxPath == "\(primary.path)/a/a.vmx")
    try primary.write("b/b.vmx", 1, name: "web")
    second.look(keeps: true)
    try second.show(on: after, keeps: true)
    let back = try #require(after.all.first)
    #expect(after.all.count == 1 && back.state == .idle && back.lastFailure == nil)
    #expect(back.newestPoint?.reference == reference && back.vmxPath == "\(primary.path)/b/b.vmx")
  }

  @Test("a look from outside the daemon leaves no trace")
  func noTrace() throws {
    let primary = Primary()
    try primary.write("a/a.vmx", 1, name: "web")
    let (roster, board) = (try primary.roster(), try primary.board())
    let before = primary.machine.operationCount
    roster.look(keeps: false)
    try roster.show(on: board, keeps: false)
    #expect(primary.machine.operationCount == before)
    #expect(board.all.map(\.name) == ["web"])
  }

  @Test("memory that cannot be written is told, and kept in the process; damaged memory is learned anew")
  func lostMemory() throws {
    let primary = Primary()
    try primary.write("a/a.vmx", 1, name: "web")
    let roster = try primary.roster()
    let state = primary.machine.disk("state")
    try state.replaceFile("vms.json", with: Array("{\"a\": 1".utf8))
    try state.createDirectory("gone").replaceFile("x.json", with: Array("[]".utf8))
    primary.machine.limitSpace(of: "state", toBytes: 0)
    #expect(roster.look(keeps: true).failure != nil)
    try primary.remove("a/a.vmx")
    #expect(roster.look(keeps: true).gone.map(\.vm) == [RosterFixture.id(1)])
  }

  @Test("a VM that was found and is protected now is waiting for its first copy, and the other way round")
  func foundThenProtected() throws {
    let primary = Primary()
    try primary.write("a/a.vmx", 1, name: "web")
    let board = try primary.board()
    for (policy, state) in [
      ("report", VMStatus.State.found), ("protect", .waitingForFirstCopy), ("report", .found),
    ] {
      let roster = try primary.roster(policy: policy)
      roster.look(keeps: true)
      try roster.show(on: board, keeps: true)
      #expect(board.all.map(\.state) == [state])
      #expect((board.all.first?.found != nil) == (state == .found))
    }
  }

  @Test("another configuration holds from the next look on: VMs come, go and change their values")
  func anotherConfiguration() throws {
    let primary = Primary()
    try primary.write("a/a.vmx", 1, name: "web")
    try primary.write("b/b.vmx", 2, name: "db")
    let roster = try primary.roster()
    #expect(roster.look(keeps: true).joined.count == 2)
    let path = "\(primary.path)/b/b.vmx"
    roster.use(try primary.config("vms: [{vmx: \(path), interval: 1m, bandwidth: 1MB/s}]"))
    #expect(roster.members.count == 2)
    let changes = roster.look(keeps: true)
    #expect(changes.left.map(\.vm.vmxPath) == ["\(primary.path)/a/a.vmx"] && changes.joined.isEmpty)
    let member = try #require(roster.member(at: path))
    #expect(member.vm.intervalSeconds == 60 && member.vm.bandwidth.bytesPerSecond == 1_000_000)
    #expect(roster.gone.isEmpty, "what nobody asks for any more is not missing")
  }

  @Test("a look is due a while after the end of the last one")
  func pace() {
    let time = ManualTime()
    var pace = LookPace(seconds: 60, time: time)
    time.advance(seconds: 59)
    #expect(!pace.isDue)
    time.advance(seconds: 2)
    #expect(pace.isDue)
    pace.restart(seconds: 60)
    #expect(!pace.isDue)
  }
}
