import ReplModel

/// Who may be at the other end. Both ways to say it, pins and a CA, end in `evaluate`.
public struct PeerPolicy: Sendable, Hashable {
  /// One key that is accepted, under the name by which the peer is then known. Two pins with one name make
  /// a rotation possible without a gap.
  public struct Pin: Sendable, Hashable {
    /// By which the peer is known here, whatever its certificate says.
    public let name: String
    /// SHA-256 of its public key.
    public let fingerprint: Fingerprint

    /// One pin.
    public init(name: String, fingerprint: Fingerprint) {
      self.name = name
      self.fingerprint = fingerprint
    }
  }

  /// A CA and the names that are accepted in its certificates.
  public struct Authority: Sendable, Hashable {
    /// PEM file with one or more CA certificates.
    public let filePath: String
    /// Compared without regard to case with the certificate's DNS names and its common name; no wildcards.
    public let allowedNames: [String]

    /// The file is read when a `TLSContext` is made.
    public init(filePath: String, allowedNames: [String]) {
      self.filePath = filePath
      self.allowedNames = allowedNames
    }
  }

  /// The answer.
  public enum Decision: Sendable, Hashable {
    case allowed(PeerIdentity)
    case refused(Refusal)
  }

  /// Why not.
  public struct Refusal: Sendable, Hashable {
    /// The closed set of reasons.
    public enum Kind: Sendable, Hashable {
      case noCertificate, unknown, weakKey, expired, notYetValid, untrusted, wrongName
    }

    /// Decides which alert the peer gets.
    public let kind: Kind
    /// A sentence: what was shown, what was expected, the next step.
    public let reason: String
  }

  /// Keys that are accepted.
  public let pinned: [Pin]
  /// Decides about peers without a pin; nil refuses them.
  public let authority: Authority?

  /// An empty policy lets nobody in.
  public init(pinned: [Pin] = [], authority: Authority? = nil) {
    self.pinned = pinned
    self.authority = authority
  }

  /// Is this peer allowed? The only place where that is decided.
  ///
  /// A pinned key is the identity: its certificate's dates, names and issuer are not looked at, so that
  /// neither a wrong clock nor a forgotten renewal stops replication; removing the pin does. Without a pin
  /// that fits, the CA decides: chain, dates and name must all hold.
  public func evaluate(_ shown: PeerCertificate) -> Decision {
    guard shown.securityBits >= Limits.minimumSecurityBits else {
      return refuse(
        .weakKey, shown,
        "its key has \(shown.securityBits) bits of security, "
          + "at least \(Limits.minimumSecurityBits) are expected"
      )
    }
    if let pin = pinned.first(where: { $0.fingerprint == shown.fingerprint }) {
      return .allowed(PeerIdentity(name: pin.name, fingerprint: shown.fingerprint))
    }
    guard let authority else { return refuse(.unknown, shown, "pin it if this is the right machine") }
    switch shown.chain {
    case .trusted: return matchName(shown, authority)
    case .expired: return refuse(.expired, shown, "it, or the CA's, has expired: renew it")
    case .notYetValid:
      return refuse(.notYetValid, shown, "it is not valid yet: check the clocks of both machines")
    case .untrusted(let why):
      return refuse(.untrusted, shown, "\(authority.filePath) does not vouch for it: \(why)")
    case .notChecked: return refuse(.untrusted, shown, "its chain was not checked")
    }
  }

  /// The answer to a peer that showed nothing.
  public func refusalOfMissingCertificate() -> Refusal {
    Refusal(kind: .noCertificate, reason: "the peer showed no certificate, expected \(expectation)")
  }

  private func matchName(_ shown: PeerCertificate, _ authority: Authority) -> Decision {
    let names = shown.dnsNames + [shown.commonName]
    for allowed in authority.allowedNames where !allowed.isEmpty {
      if names.contains(where: { $0.lowercased() == allowed.lowercased() }) {
        return .allowed(PeerIdentity(name: allowed, fingerprint: shown.fingerprint))
      }
    }
    let listed = names.filter { !$0.isEmpty }.prefix(Limits.namesInMessage).joined(separator: ", ")
    return refuse(.wrongName, shown, "its names are \(listed.isEmpty ? "(none)" : listed)")
  }

  private func refuse(_ kind: Refusal.Kind, _ shown: PeerCertificate, _ why: String) -> Decision {
    .refused(
      Refusal(
        kind: kind, reason: "the peer showed certificate \(shown.summary), expected \(expectation): \(why)"))
  }

  /// What would have been accepted, for messages.
  private var expectation: String {
    var parts: [String] = []
    if !pinned.isEmpty {
      let shown = pinned.prefix(Limits.namesInMessage).map {
        "\($0.fingerprint) (\(SafeText.printable($0.name)))"
      }
      let rest = pinned.count - shown.count
      parts.append("one of " + shown.joined(separator: ", ") + (rest > 0 ? " and \(rest) more" : ""))
    }
    if let authority {
      let names = authority.allowedNames.prefix(Limits.namesInMessage).map { SafeText.printable($0) }
      parts.append("a certificate of \(authority.filePath) for \(names.joined(separator: ", "))")
    }
    return parts.isEmpty ? "nobody (no peer is configured)" : parts.joined(separator: ", or ")
  }
}

/// A peer that was let in.
public struct PeerIdentity: Sendable, Hashable {
  /// The pin's name, or the allowed name that the certificate bore.
  public let name: String
  /// SHA-256 of the key that it has proven to hold.
  public let fingerprint: Fingerprint

  /// For tests; sessions make their own.
  public init(name: String, fingerprint: Fingerprint) {
    self.name = name
    self.fingerprint = fingerprint
  }
}
