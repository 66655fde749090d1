import ReplDigest
import ReplIO
import ReplModel
import ReplProtocol

extension ProofClaim.Disk {
  /// Places of differing pages that a claim names.
  static let placeLimit = ProtocolLimits.standard.differingPlaces

  /// What a reading of a disk of the point found.
  init(_ member: DiskPoint, _ found: FullReading.Result) {
    self.init(
      disk: member.disk, slot: member.slot, grid: member.grid, keyID: member.keyID, root: found.root,
      sha256: found.sha256, unreadable: found.failure.map { ProofClaim.Unreadable($0) },
      differing: found.differingPages == 0
        ? nil
        : ProofClaim.Differing(pages: found.differingPages, offsetsBytes: found.differingOffsets))
  }

  /// A disk that could not even be opened.
  init(_ member: DiskPoint, cause: String) {
    self.init(
      disk: member.disk, slot: member.slot, grid: member.grid, keyID: member.keyID, root: nil, sha256: nil,
      unreadable: ProofClaim.Unreadable(offsetBytes: nil, systemCode: nil, cause: cause))
  }
}

extension ProofClaim.Unreadable {
  init(_ error: IOError) {
    self.init(offsetBytes: error.offsetBytes, systemCode: error.systemCode, cause: "\(error)")
  }
}

extension ProofClaim {
  /// Of a point of which `role` has read `disks` since `readFrom`.
  init(
    _ role: SessionRole, _ point: RecoveryPoint, name: String, disks: [Disk], readFrom: WallTime,
    readUntil: WallTime, fingerprint: Fingerprint, answers: Hash256? = nil
  ) {
    self.init(
      role: role, vm: point.vm, name: name, receiver: point.receiver, point: point.reference,
      pass: point.pass, frozenAt: point.frozenAt, readFrom: readFrom, readUntil: readUntil,
      fingerprint: fingerprint, answers: answers, disks: disks)
  }
}
