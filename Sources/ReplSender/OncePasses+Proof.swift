import ReplModel
import ReplPass
import ReplService

/// What a proof found, for the terminal.
extension OncePasses {
  /// Prints the verdict with the path of the statement; the codes say how it went.
  func sayProof(_ vm: VMID) throws -> [ReplService.ExitCode] {
    guard let proof = runtime.proofs.withLock({ $0[vm] }) else { return [.failed] }
    let name = runtime.board[vm]?.name ?? "\(vm)"
    let report = ProofReport(vm: vm, name: name, outcome: proof)
    let later = (runtime.board[vm]?.disks ?? []).filter { $0.state == .seeding }.map { "\($0.slot)" }
    if !later.isEmpty {
      Self.complain(
        "\(SafeText.printable(name)): added and still to be copied, no part of the point: "
          + later.joined(separator: ", "))
    }
    if json { print(try report.json()) } else { for line in report.lines { print(line) } }
    return report.exitCode.map { [$0] } ?? []
  }
}

/// The result of `verify --source`.
struct ProofReport: Encodable {
  struct Disk: Encodable {
    let slot: DiskSlot
    let disk: DiskID
    let sizeBytes: Int64
    let verdict: ProofVerdict?
    let sourceSha256: Hash256?
    let standbySha256: Hash256?
  }

  let vm: VMID
  let name: String
  let verdict: ProofVerdict
  let statement: String?
  let cause: String?
  let disks: [Disk]
  let exitCode: ReplService.ExitCode?
  let lines: [String]

  enum CodingKeys: String, CodingKey { case vm, name, verdict, statement, cause, disks }

  init(vm: VMID, name: String, outcome: ProofOutcome) {
    (self.vm, self.name, verdict) = (vm, name, outcome.verdict)
    switch outcome {
    case .statement(let found, let path):
      (statement, cause) = (path, nil)
      disks = zip(found.source.claim.disks, found.target.claim.disks).map { source, target in
        Disk(
          slot: target.slot, disk: target.disk, sizeBytes: target.grid.sizeBytes, verdict: target.verdict,
          sourceSha256: source.sha256, standbySha256: target.sha256)
      }
      exitCode =
        switch found.verdict {
        case .identical: nil
        case .differing: .failed
        case .inconclusive: found.hasUnreadable ? .inputOutput : .badData
        }
      lines = [ProofSentence.text(found, path: path)] + ProofSentence.lines(found).map { "  \($0)" }
    case .failed(let error):
      (statement, cause, disks) = (nil, "\(error)", [])
      exitCode = .badData
      lines = ["\(SafeText.printable(name)): nothing is proven: \(error)"]
    }
  }

  func json() throws -> String { try JSONText.encode(self) }
}
