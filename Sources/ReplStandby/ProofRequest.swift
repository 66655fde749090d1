import ReplDigest
import ReplIO
import ReplModel

extension IdentityOf {
  public enum ProofRequest {}
}

/// Somebody at the receiver wants the next pass of a VM to end with a proof. A receiver cannot dial, so the
/// wish lies beside the standby until a pass comes.
public struct ProofRequest: Sendable, Hashable, Codable {
  public let id: Identifier<IdentityOf.ProofRequest>
  /// When it was asked for first.
  public let at: WallTime
}

/// What became of a request so far, for the command that waits.
public struct ProofAnswer: Sendable, Hashable, Codable {
  public let request: Identifier<IdentityOf.ProofRequest>
  /// False while the disks are read.
  public var isDone: Bool
  /// Bytes of the standby disks that were read.
  public var doneBytes: Int64
  public var totalBytes: Int64
  /// Nil while the disks are read.
  public var verdict: ProofVerdict?
  /// Where the statement lies; nil without one.
  public var statementPath: String?
  /// Why there is no statement, for people.
  public var detail: String?

  public init(
    to request: ProofRequest, isDone: Bool, doneBytes: Int64 = 0, totalBytes: Int64 = 0,
    verdict: ProofVerdict? = nil, statementPath: String? = nil, detail: String? = nil
  ) {
    self.request = request.id
    self.isDone = isDone
    self.doneBytes = doneBytes
    self.totalBytes = totalBytes
    self.verdict = verdict
    self.statementPath = statementPath
    self.detail = detail
  }
}

extension StandbyLayout {
  static let proofRequest = "proof-request"
  static let proofAnswer = "proof-answer"
}

extension Limits {
  /// A request or an answer: an identity, a few numbers, a path and a sentence.
  static let proofFileBytes = 64 << 10
}

extension StandbyStore {
  /// Leaves a request beside the standby, durably, without its lock; answers the one that is there already.
  public func requestProof(of summary: StandbySummary) throws(StandbyError) -> ProofRequest {
    let directory = try privateDirectory(of: summary)
    if let request: ProofRequest = try readProofFile(StandbyLayout.proofRequest, in: directory) {
      return request
    }
    let request = ProofRequest(id: .random(), at: time.wallTime())
    let bytes = try RecordJSON.encode(request)
    try storing { () throws(IOError) in
      try directory.replaceFile(StandbyLayout.proofRequest, with: bytes)
    }
    return request
  }

  /// What became of a request; nil while no pass has taken it up.
  public func proofAnswer(
    to request: ProofRequest, of summary: StandbySummary
  ) throws(StandbyError) -> ProofAnswer? {
    let answer: ProofAnswer? = try readProofFile(
      StandbyLayout.proofAnswer, in: try privateDirectory(of: summary))
    return answer?.request == request.id ? answer : nil
  }

  private func privateDirectory(of summary: StandbySummary) throws(StandbyError) -> any StorageDirectory {
    try storing { () throws(IOError) in
      try root.openDirectory(summary.directory).openDirectory(StandbyLayout.privateDirectory)
    }
  }
}

extension Standby {
  /// The request that waits for a pass; nil when there is none.
  public func proofRequest() throws(StandbyError) -> ProofRequest? {
    try readProofFile(StandbyLayout.proofRequest, in: home.privateDirectory)
  }

  /// Writes what became of a request. The request is gone when its answer is the last one.
  public func answer(_ answer: ProofAnswer) throws(StandbyError) {
    let directory = home.privateDirectory
    let bytes = try RecordJSON.encode(answer)
    try storing { () throws(IOError) in
      // The answer first: cut off in between, the request is carried out once more.
      try directory.replaceFile(StandbyLayout.proofAnswer, with: bytes)
    }
    guard answer.isDone, try proofRequest()?.id == answer.request else { return }
    try storing { () throws(IOError) in
      try directory.removeFile(StandbyLayout.proofRequest)
      try directory.sync()
    }
  }
}

/// Nil when it is not there, or is not what it should be: then somebody else wrote it, and there is nothing
/// to carry out.
private func readProofFile<Value: Decodable>(
  _ name: String, in directory: any StorageDirectory
) throws(StandbyError) -> Value? {
  let bytes = try storing { () throws(IOError) -> [UInt8]? in
    guard try directory.contains(name) else { return nil }
    return try directory.readFile(name, limitBytes: Limits.proofFileBytes)
  }
  return bytes.flatMap { RecordJSON.decode($0) }
}
