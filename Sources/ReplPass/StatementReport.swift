import ReplIO
import ReplModel
import ReplProtocol

/// A statement file that was found genuine, as `statement check` tells of it.
public struct StatementReport: Sendable, Encodable {
  /// Both signatures are right, and nothing in the file says anything else.
  public let genuine = true
  public let verdict: ProofVerdict
  public let vm: VMID
  public let name: String
  public let point: String
  public let frozenAt: WallTime
  public let sourceFingerprint: Fingerprint
  public let targetFingerprint: Fingerprint
  /// For people.
  public let lines: [String]

  enum CodingKeys: CodingKey {
    case genuine, verdict, vm, name, point, frozenAt, sourceFingerprint, targetFingerprint
  }

  /// Reads and checks a file by a path from the command line.
  public init(path: String) throws(PassError) {
    let statement = try ProofStatement.read(path: path)
    let (source, target) = (statement.source.claim, statement.target.claim)
    verdict = statement.verdict
    (vm, name, point) = (target.vm, SafeText.printable(target.name), "\(target.point)")
    frozenAt = target.frozenAt
    (sourceFingerprint, targetFingerprint) = (source.fingerprint, target.fingerprint)
    lines =
      [
        "genuine: both signatures are right, and nothing in the file says anything else",
        ProofSentence.text(statement, path: SafeText.printable(path, limit: 1024)),
      ] + ProofSentence.lines(statement).map { "  \($0)" } + [
        "frozen   \(target.frozenAt)",
        "source   \(source.fingerprint), read from \(source.readFrom) until \(source.readUntil)",
        "standby  \(target.fingerprint), read from \(target.readFrom) until \(target.readUntil)",
      ]
  }
}

extension ProofStatement {
  /// Reads and checks a file by a path from the command line.
  public static func read(path: String) throws(PassError) -> ProofStatement {
    let bytes: [UInt8]
    do throws(IOError) {
      let (folder, name) = split(path)
      bytes = try PosixDirectory(path: folder).readFile(name, limitBytes: fileBytes)
    } catch { throw .io(error) }
    do throws(ProofError) {
      return try decode(bytes, path: SafeText.printable(path, limit: 1024))
    } catch { throw .proof(error) }
  }

  private static func split(_ path: String) -> (folder: String, name: String) {
    guard let slash = path.lastIndex(of: "/") else { return (".", path) }
    let folder = path[..<slash]
    return (folder.isEmpty ? "/" : String(folder), String(path[path.index(after: slash)...]))
  }
}
