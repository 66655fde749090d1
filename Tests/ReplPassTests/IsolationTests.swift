import ReplDigest
import ReplIO
import ReplModel
import ReplStandby
import ReplTestKit
import Synchronization
import Testing

@testable import ReplPass

/// One VM's storage does not answer; everybody else's passes, the start and the status go on.
@Suite(.serialized) struct IsolationTests {
  private static func content(_ byte: UInt8) -> [UInt8] { [UInt8](repeating: byte, count: 64 << 10) }

  /// A pair whose receiver holds another VM's standby as well; its folder hangs when the gate is shut on it.
  private func lab() throws -> (pair: Pair, gate: GatedDirectory.Gate, hung: String, vm: VMID) {
    let pair = try Pair()
    let gate = GatedDirectory.Gate()
    pair.wrapRoot { GatedDirectory($0, gate: gate) }
    let vm = VMID(high: 5, low: 5)
    let hung = try pair.store().create(vm: vm, displayName: "slow", owner: "primary").directoryName
    try pair.startReceiver()
    return (pair, gate, hung, vm)
  }

  private func seconds(_ body: () throws -> Void) rethrows -> Double {
    let began = SystemTime().monotonicNanoseconds()
    try body()
    return Double(SystemTime().monotonicNanoseconds() - began) / 1e9
  }

  @Test("a standby whose folder hangs delays neither passes of others, nor the first copy of a new VM")
  func passes() throws {
    let (pair, gate, hung, _) = try lab()
    defer { pair.end() }
    defer { gate.open() }
    gate.shut(hung)
    // The first one makes a standby, for which all folders are looked at: the hung one was seen before.
    let first = try seconds { _ = try pair.pass([Self.content(1)]) }
    #expect(first < 10, "\(first) s")
    let second = try seconds { _ = try pair.pass([Self.content(2)]) }
    #expect(second < 5, "\(second) s")
    // It does hang: nobody had to look.
    let summaries = try pair.store().standbys()
    #expect(gate.waiting > 0 && summaries.first { $0.directory == hung }?.problem != nil)
  }

  @Test(
    "the start and the status do not wait for a folder that hangs, name it, and forget it when it answers")
  func status() throws {
    let (pair, gate, hung, vm) = try lab()
    defer { pair.end() }
    defer { gate.open() }
    _ = try pair.pass([Self.content(1)])
    gate.shut(hung)
    let store = try pair.store()
    let board = try StatusBoard(directory: nil)
    func load() throws -> Double {
      try seconds {
        try board.load([store], isComplete: true, rpoSeconds: 900, now: SystemTime().wallTime())
      }
    }
    #expect(try load() < 5)
    #expect(board[Pair.vm]?.newestPoint != nil)
    let failure = try #require(board.all.first { $0.vm != Pair.vm }?.lastFailure)
    #expect(failure.cause.contains(hung) && failure.cause.contains("has not answered since"), "\(failure)")
    let waiting = gate.waiting
    #expect(try load() < 0.9, "a folder that is known to hang is not waited for again")
    #expect(gate.waiting == waiting, "and holds no further thread")
    gate.open()
    let deadline = Deadline(seconds: 10)
    while board[vm]?.lastFailure != nil || board[vm] == nil, !deadline.hasPassed { _ = try load() }
    #expect(board[vm] != nil && board[vm]?.lastFailure == nil)
  }

  @Test("a VM whose own folder hung has its passes again once it answers")
  func ownFolder() throws {
    let (pair, gate, _, _) = try lab()
    defer { pair.end() }
    defer { gate.open() }
    _ = try pair.pass([Self.content(1), Self.content(1)])
    let own = try #require(try pair.store().standbys().first { $0.catalog?.vm == Pair.vm }).directory
    gate.shut(own)
    let stuck = NamedThread.start("stuck pass") { _ = try? pair.pass([Self.content(2), Self.content(2)]) }
    let deadline = Deadline(seconds: 10)
    while gate.waiting == 0, !deadline.hasPassed {
      _ = Monitor(false).wait(seconds: 0.01) { $0 ? true : nil }
    }
    #expect(gate.waiting > 0)
    pair.cutConnections()
    gate.open()
    stuck.join()
    // The session that hung has ended its lease.
    _ = try pair.pass([Self.content(3), Self.content(3)])
    let disk = try pair.receiver.disk("store").openDirectory(own).openFile("scsi0-0-flat.vmdk", .read)
    var bytes = Self.content(0)
    try bytes.withUnsafeMutableBytes { try disk.read(into: $0, at: 0) }
    #expect(bytes == Self.content(3))
  }
}
