import Foundation
import ReplIO
import ReplModel
import Testing

@testable import ReplSource

/// Undoing what a crash left, while passes run.
@Suite("The sweep of the start") struct FreezeCleaningTests {
  private let waitForGate = "while [ ! -e \"$3\"/state/gate ]; do sleep 0.02; done; "

  private func eventually(_ what: String, _ condition: () -> Bool) async throws {
    let deadline = Deadline(seconds: 20)
    while !condition(), !deadline.hasPassed { try await Task.sleep(for: .milliseconds(5)) }
    #expect(condition(), "\(what)")
  }

  @Test("while one VM's leftovers are undone, others are frozen and swept, and it is not frozen again before")
  func slowRelease() async throws {
    let slow = try FreezeLab()
    let other = try FreezeLab()
    let vmx = try String(contentsOfFile: other.folder.vmxPath, encoding: .utf8)
    try other.folder.write(
      "web.vmx", Array(vmx.replacingOccurrences(of: "3a ec ee 65", with: "3a ec ee 66").utf8))
    let remove = "rm -rf '\(slow.mounts)'/$5"
    let freeze = FreezeSettings(provider: try slow.storage(release: waitForGate + remove))
    let otherFreeze = FreezeSettings(provider: try other.storage())
    // Both as a crash leaves them.
    for request in [slow.request(freeze), other.request(otherFreeze)] {
      var view: VMView? = try await slow.take(request)
      #expect(view != nil)
      view = nil
    }
    #expect(slow.records.count == 2)

    async let sweep = slow.clean([slow.request(freeze), other.request(otherFreeze)])
    try await eventually("both are being undone") {
      slow.log.contains("release") && other.log.contains("release") && slow.records.count == 1
    }
    // Whatever fails from here on, the sweep must end.
    defer { try? slow.folder.write("state/gate", []) }
    let error = try await slow.refusal(freeze)
    #expect("\(error)".contains("is being undone") && error.remedy == .abandonPass, "\(error)")
    #expect(slow.log.count { $0 == "take" } == 1, "nothing is begun meanwhile")
    _ = try await slow.release(try await slow.take(other.request(otherFreeze)))
    try slow.folder.write("state/gate", [])
    let reports = try await sweep
    #expect(reports.count == 2 && reports.allSatisfy(\.isRemoved), "\(reports)")
    _ = try await slow.release(try await slow.take(freeze))
    #expect(slow.mounted == [] && other.mounted == [] && slow.ledger == [])
  }
}
