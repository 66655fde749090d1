import FoundationEssentials
import ReplIO
import ReplModel
import ReplProtocol

extension ProofStatement {
  static let format = "vmrepl-proof-statement"
  static let formatVersion = 1
  /// 64 disks take about 150 KiB.
  static let fileBytes = 4 << 20

  /// The file's JSON as the page ProofStatement describes it. What is not in `source` and `target` is there
  /// to be read by people and programs, and follows from them.
  private struct Document: Codable, Hashable {
    struct Side: Codable, Hashable {
      let claim: ProofClaim
      let signedText: String
      let publicKey: String
      let signature: String

      init(_ signed: SignedClaim) {
        claim = signed.claim
        signedText = signed.claim.signedText
        (publicKey, signature) = (signed.publicKey, signed.signature)
      }

      var signed: SignedClaim { SignedClaim(claim: claim, publicKey: publicKey, signature: signature) }
    }

    struct Reading: Codable, Hashable {
      let root: Root?
      let sha256: Hash256?
    }

    struct Disk: Codable, Hashable {
      let slot: DiskSlot
      let disk: DiskID
      let sizeBytes: Int64
      let pageSizeBytes: Int
      let verdict: ProofVerdict
      let source: Reading
      let target: Reading
    }

    let format: String
    let version: Int
    let verdict: ProofVerdict
    let vm: VMID
    let name: String
    let point: PointReference
    let pass: PassID
    let frozenAt: WallTime
    let disks: [Disk]
    let source: Side
    let target: Side

    init(_ statement: ProofStatement) {
      let claim = statement.target.claim
      (format, version) = (ProofStatement.format, ProofStatement.formatVersion)
      (vm, name, point, pass) = (claim.vm, claim.name, claim.point, claim.pass)
      (frozenAt, verdict) = (claim.frozenAt, statement.verdict)
      disks = zip(statement.source.claim.disks, claim.disks).map { source, target in
        Disk(
          slot: target.slot, disk: target.disk, sizeBytes: target.grid.sizeBytes,
          pageSizeBytes: target.grid.pageSizeBytes, verdict: target.verdict ?? .inconclusive,
          source: Reading(root: source.root, sha256: source.sha256),
          target: Reading(root: target.root, sha256: target.sha256))
      }
      (source, target) = (Side(statement.source), Side(statement.target))
    }
  }

  private struct Head: Decodable {
    let format: String
    let version: Int
  }

  /// The bytes of the file.
  public func encode() throws(ProofError) -> [UInt8] {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
    do { return [UInt8](try encoder.encode(Document(self))) + [UInt8(ascii: "\n")] } catch {
      throw .untrue("the statement cannot be written as JSON: \(error)")
    }
  }

  /// Reads a file and checks all of it: what is signed, by whom, and that nothing else in the file says
  /// anything different.
  public static func decode(_ bytes: [UInt8], path: String) throws(ProofError) -> ProofStatement {
    let head: Head
    let document: Document
    do {
      head = try JSONDecoder().decode(Head.self, from: Data(bytes))
      guard head.format == format, head.version == formatVersion else {
        throw ProofError.unreadable(
          path: path,
          detail:
            "format \(SafeText.printable(head.format)) \(head.version), expected \(format) \(formatVersion)"
        )
      }
      document = try JSONDecoder().decode(Document.self, from: Data(bytes))
    } catch let error as ProofError {
      throw error
    } catch { throw .unreadable(path: path, detail: SafeText.printable("\(error)")) }
    guard document.source.signedText == document.source.claim.signedText,
      document.target.signedText == document.target.claim.signedText
    else { throw .untrue("\(path): the text that is signed is not that of the claim beside it") }
    let statement = try ProofStatement(source: document.source.signed, target: document.target.signed)
    guard document == Document(statement) else {
      throw .untrue("\(path): the summary says something else than what is signed")
    }
    return statement
  }
}
