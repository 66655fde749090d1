import ReplModel

/// How far a side is that reads its disks again for a proof.
public struct Reading: ControlMessage, Hashable {
  public static let type = MessageType.reading

  /// Bytes of disk read so far, of `totalBytes`.
  public var doneBytes: Int64
  public var totalBytes: Int64

  public init(doneBytes: Int64, totalBytes: Int64) {
    self.doneBytes = doneBytes
    self.totalBytes = totalBytes
  }

  public func validate(_ limits: ProtocolLimits) throws(ProtocolError) {
    let most = Int64(limits.disks) * PageGrid.maximumSizeBytes
    try require((1...most).contains(totalBytes), "totalBytes", "\(totalBytes)", expected: "1 to \(most)")
    try require(
      (0...totalBytes).contains(doneBytes), "doneBytes", "\(doneBytes)", expected: "0 to \(totalBytes)")
  }

  /// Throws unless this tells of progress: a peer that stands still must run into the deadline.
  public func validate(after previous: Reading?) throws(ProtocolError) {
    guard let previous else { return }
    try require(
      totalBytes == previous.totalBytes && doneBytes > previous.doneBytes, "doneBytes",
      "\(doneBytes) of \(totalBytes)",
      expected: "more than \(previous.doneBytes) of \(previous.totalBytes)")
  }
}

/// A claim with the signature of the side that makes it.
public struct SignedClaim: Codable, Hashable, Sendable {
  public var claim: ProofClaim
  /// PEM, SubjectPublicKeyInfo.
  public var publicKey: String
  /// Base64, over the UTF-8 bytes of `claim.signedText`.
  public var signature: String

  public init(claim: ProofClaim, publicKey: String, signature: String) {
    self.claim = claim
    self.publicKey = publicKey
    self.signature = signature
  }
}

/// What the source found when it read the frozen view again.
public struct Proof: ControlMessage, Hashable {
  public static let type = MessageType.proof
  public var signed: SignedClaim
  public init(_ signed: SignedClaim) { self.signed = signed }

  public func validate(_ limits: ProtocolLimits) throws(ProtocolError) {
    try validate(signed, role: .source, limits)
  }

  /// Throws unless this is about the point that was just committed.
  public func validate(of point: RecoveryPoint) throws(ProtocolError) { try validate(signed, of: point) }
}

/// What the target found, and what both readings say together.
public struct Statement: ControlMessage, Hashable {
  public static let type = MessageType.statement
  public var signed: SignedClaim
  public init(_ signed: SignedClaim) { self.signed = signed }

  public func validate(_ limits: ProtocolLimits) throws(ProtocolError) {
    try validate(signed, role: .target, limits)
  }

  /// Throws unless this is about the point that was just committed, and its verdicts are those that follow
  /// from the two claims.
  public func validate(of point: RecoveryPoint, answering proof: Proof) throws(ProtocolError) {
    try validate(signed, of: point)
    for (source, target) in zip(proof.signed.claim.disks, signed.claim.disks) {
      let expected = ProofClaim.Disk.verdict(source: source, target: target)
      try require(
        target.verdict == expected, "claim.disks \(target.slot) verdict", target.verdict?.rawValue ?? "none",
        expected: expected.rawValue)
    }
  }
}

extension ControlMessage {
  fileprivate func validate(
    _ signed: SignedClaim, role: SessionRole, _ limits: ProtocolLimits
  ) throws(ProtocolError) {
    let claim = signed.claim
    try require(claim.role == role, "claim.role", claim.role.rawValue, expected: role.rawValue)
    try requireName(claim.name, "claim.name", limits)
    try require(claim.point.number >= 1, "claim.point.number", "0", expected: "1 or more")
    try require(
      (claim.answers != nil) == (role == .target), "claim.answers", claim.answers == nil ? "none" : "a hash",
      expected: role == .target ? "the hash of the source's text" : "none")
    try require(
      (1...limits.disks).contains(claim.disks.count), "claim.disks", "\(claim.disks.count)",
      expected: "1 to \(limits.disks)")
    for disk in claim.disks { try validate(disk, role: role, limits) }
    try require(
      (1...limits.publicKeyBytes).contains(signed.publicKey.utf8.count), "publicKey",
      "\(signed.publicKey.utf8.count) bytes", expected: "1 to \(limits.publicKeyBytes)")
    try require(
      (1...limits.signatureBytes).contains(signed.signature.utf8.count), "signature",
      "\(signed.signature.utf8.count) bytes", expected: "1 to \(limits.signatureBytes)")
  }

  private func validate(
    _ disk: ProofClaim.Disk, role: SessionRole, _ limits: ProtocolLimits
  ) throws(ProtocolError) {
    let field = "claim.disks \(disk.slot)"
    try require(
      (disk.root == nil) == (disk.sha256 == nil), field, "only one of root and sha256", expected: "both")
    try require(
      (disk.root == nil) == (disk.unreadable != nil), field, "a root of what could not be read, or neither",
      expected: "one of them")
    try require(
      (disk.verdict != nil) == (role == .target), "\(field) verdict", disk.verdict?.rawValue ?? "none",
      expected: role == .target ? "one" : "none")
    if let bytes = disk.unreadable?.cause.utf8.count {
      try require(
        (1...limits.errorTextCharacters).contains(bytes), "\(field) unreadable.cause", "\(bytes) bytes",
        expected: "1 to \(limits.errorTextCharacters)")
    }
    guard let differing = disk.differing else { return }
    let (places, pages) = (differing.offsetsBytes, disk.grid.pageCount)
    try require(
      (1...pages).contains(differing.pages) && (1...limits.differingPlaces).contains(places.count)
        && places.count <= differing.pages, "\(field) differing",
      "\(differing.pages) pages, \(places.count) places",
      expected: "1 to \(pages) pages, 1 to \(limits.differingPlaces) places")
    for place in places {
      try require(
        place >= 0 && place < disk.grid.sizeBytes, "\(field) differing", "\(place)",
        expected: "a byte below \(disk.grid.sizeBytes)")
    }
  }

  fileprivate func validate(_ signed: SignedClaim, of point: RecoveryPoint) throws(ProtocolError) {
    let claim = signed.claim
    try require(
      claim.vm == point.vm && claim.receiver == point.receiver && claim.point == point.reference
        && claim.pass == point.pass && claim.frozenAt == point.frozenAt, "claim",
      "point \(claim.point) of \(claim.vm)", expected: "\(point.reference) of \(point.vm)")
    let same = zip(claim.disks, point.disks).allSatisfy { disk, member in
      disk.disk == member.disk && disk.slot == member.slot && disk.grid == member.grid
        && disk.keyID == member.keyID
    }
    try require(
      same && claim.disks.count == point.disks.count, "claim.disks", "another list",
      expected: "the disks of the point in its order")
  }
}
