import ReplModel
import ReplProtocol

extension Fixture {
  static let reading = Reading(doneBytes: 4096, totalBytes: 98_309)
  static let fingerprint = Fingerprint(hash: hash)

  /// Disk A read whole, disk B not.
  static func claim(_ role: SessionRole) -> ProofClaim {
    var a = ProofClaim.Disk(
      disk: diskA, slot: DiskSlot("scsi0:0")!, grid: gridA, keyID: key, root: root, sha256: hash)
    var b = ProofClaim.Disk(
      disk: diskB, slot: DiskSlot("nvme0:1")!, grid: gridB, keyID: key, root: nil, sha256: nil,
      unreadable: ProofClaim.Unreadable(offsetBytes: 4096, systemCode: 5, cause: "Input/output error"))
    if role == .target {
      a.sha256 = root
      a.differing = ProofClaim.Differing(pages: 3, offsetsBytes: [0, 8192])
      (a.verdict, b.verdict) = (.differing, .inconclusive)
    }
    return ProofClaim(
      role: role, vm: vm, name: "web01", receiver: receiver, point: committed.point.reference, pass: pass,
      frozenAt: time, readFrom: time, readUntil: time, fingerprint: fingerprint,
      answers: role == .target ? hash : nil, disks: [a, b])
  }

  static let signedProof = SignedClaim(claim: claim(.source), publicKey: "PEM", signature: "c2ln")
  static let signedAnswer = SignedClaim(claim: claim(.target), publicKey: "PEM", signature: "c2ln")
}
