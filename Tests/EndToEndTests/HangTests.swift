import Foundation
import Glibc
import ReplModel
import Testing

/// Programs that stand still instead of failing.
extension RealTime {
  @Suite(.needs("curl", "qemu-img", "mkfs.ext4"), .needsLoopMounts) struct HangTests {
    @Test(
      "row 8: a receiver that hangs is told within a minute, a sender that hangs is let go, and both go on")
    func hangs() throws {
      let (silent, deaf) = (try FaultSite(seed: 1), try FaultSite(seed: 2))
      try silent.begin()
      try deaf.begin()
      let port = try silent.lab.servePages().sender
      try silent.vm.writeWholeVersion(2)
      try deaf.vm.writeWholeVersion(2)
      let receiver = try #require(silent.lab.receiver)
      let daemon = try Running([Tool.sender, "run", "--config", silent.lab.senderConfig])
      try eventually("the middle of a pass") { try !silent.journals().isEmpty }
      receiver.signal(SIGSTOP)
      let hanging = try deaf.startPass { try !deaf.journals().isEmpty }

      let outcome = Result {
        try eventually(seconds: 60, "the sender tells it") { try silent.page(port)?.lastFailure != nil }
        try eventually(seconds: 60, "the receiver lets go") {
          deaf.lab.receiver?.errors.contains(" session-ended ") == true
        }
      }
      receiver.signal(SIGCONT)
      let failure = try silent.page(port)?.lastFailure
      hanging.signal(SIGCONT)
      try outcome.get()
      #expect(
        failure?.phase.isEmpty == false && failure?.cause.isEmpty == false, "\(String(describing: failure))")
      try eventually(seconds: 60, "the daemon goes on by itself") {
        daemon.errors.contains(" pass-committed ")
      }
      try silent.expect(version: 2)
      daemon.signal(SIGTERM)
      try daemon.finish(seconds: 10)
      let result = try hanging.finish(seconds: 60)
      #expect(result.status == 0, "\(result.errors)")
      try deaf.expect(version: 2)
    }
  }
}
