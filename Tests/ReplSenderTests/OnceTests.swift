import ReplModel
import Testing

@testable import ReplSender

/// What `run --once` ends with.
@Suite("One pass by hand") struct OnceTests {
  @Test("a point that is not settled, a disk that is not seeded, a guest or a proof that is not well end red")
  func green() {
    var status = VMStatus(
      vm: VMID(high: 1, low: 1), name: "web01", peer: nil, state: .idle, rpoSeconds: 900)
    #expect(OncePasses.isGreen(status))
    for phase in ["settle", "seed", "freeze", "prove"] {
      status.lastFailure = .init(
        at: WallTime(millisecondsSince1970: 0), phase: phase, cause: "x", remedy: .retryPass)
      #expect(!OncePasses.isGreen(status), "\(phase)")
    }
    // A connection that broke and was taken up again.
    status.lastFailure?.phase = "send"
    #expect(OncePasses.isGreen(status))
    status.leftovers = "a snapshot"
    #expect(!OncePasses.isGreen(status))
  }
}
