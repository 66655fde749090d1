import ReplDigest
import ReplIO
import ReplModel
import ReplTestKit
import Testing

@testable import ReplStandby

@Suite("Passes") struct PassTests {
  @Test("a first copy and two passes each leave the standby exactly as the source was")
  func threePasses() throws {
    let senders = try [Bench.firstImage(), Bench.secondImage(), Bench.thirdImage()].map { try Sender($0) }
    let checks = Checks(senders)
    let machine = try Bench.machine()
    let store = try Bench.store(on: machine)
    let standby = try Bench.standby(in: store)
    for (index, sender) in senders.enumerated() {
      let before = machine.operationCount
      try sender.replicate(index + 1, to: standby)
      print("pass \(index + 1): \(machine.operationCount - before) operations")
      try checks.holdsItsNewestPoint(standby, on: machine, "pass \(index + 1)")
      #expect(standby.catalog.newest?.reference.number == UInt64(index + 1))
    }
    #expect(try standby.journalNames().isEmpty)
  }
}
