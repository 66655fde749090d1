import ReplDigest
import ReplModel
import ReplProtocol

/// The outcome of a proof: what both sides claim, each with its signature. Both keep the same one. A value of
/// this type is checked: signatures, keys and verdicts are right.
public struct ProofStatement: Sendable, Hashable {
  public let source: SignedClaim
  public let target: SignedClaim

  /// Throws when the two claims do not belong together, a signature is wrong, or a verdict does not follow.
  public init(source: SignedClaim, target: SignedClaim) throws(ProofError) {
    do throws(ProtocolError) {
      try Proof(source).validate(.standard)
      try Statement(target).validate(.standard)
    } catch { throw .untrue("\(error)") }
    try source.checkSignature()
    try target.checkSignature()
    (self.source, self.target) = (source, target)
    try checkTogether()
  }

  private func checkTogether() throws(ProofError) {
    let (first, second) = (source.claim, target.claim)
    guard
      first.vm == second.vm, first.receiver == second.receiver, first.point == second.point,
      first.pass == second.pass, first.frozenAt == second.frozenAt, first.name == second.name
    else { throw .untrue("source and target speak of two recovery points") }
    guard second.answers == SHA256Hasher.hash(Array(first.signedText.utf8)) else {
      throw .untrue("the target answers another claim than the source's")
    }
    guard first.disks.map(\.disk) == second.disks.map(\.disk),
      first.disks.map(\.slot) == second.disks.map(\.slot)
    else { throw .untrue("source and target name different disks") }
    for (ours, theirs) in zip(first.disks, second.disks) {
      let expected = ProofClaim.Disk.verdict(source: ours, target: theirs)
      guard theirs.verdict == expected else {
        throw .untrue(
          "disk \(theirs.slot): the verdict is \(theirs.verdict?.rawValue ?? "missing"), roots and hashes "
            + "say \(expected.rawValue)")
      }
    }
  }

  /// Of all disks together.
  public var verdict: ProofVerdict { target.claim.disks.compactMap(\.verdict).together }

  /// Whether a disk could not be read because of an I/O error.
  public var hasUnreadable: Bool {
    (source.claim.disks + target.claim.disks).contains { $0.unreadable?.systemCode != nil }
  }

  /// `<vm>-<point>-<when the target was done>.json`.
  public var fileName: String {
    let claim = target.claim
    let time = "\(claim.readUntil)".filter { $0 != "-" && $0 != ":" }
    return "\(claim.vm)-\(claim.point)-\(time).json"
  }
}
