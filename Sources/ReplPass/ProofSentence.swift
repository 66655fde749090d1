import ReplModel
import ReplProtocol

/// What a statement says, for people.
public enum ProofSentence {
  /// One sentence with the first disk that is not identical.
  public static func text(_ statement: ProofStatement, path: String) -> String {
    let claim = statement.target.claim
    let head = "point \(claim.point) of \(SafeText.printable(claim.name))"
    switch statement.verdict {
    case .identical: return "\(head): every byte of the standby is the source's (\(path))"
    case .differing:
      return "\(head) is not what the source holds: \(trouble(statement, .differing)); "
        + "do not start it before somebody looked (\(path))"
    case .inconclusive:
      return "\(head): nothing is proven: \(trouble(statement, .inconclusive)) (\(path))"
    }
  }

  /// A line a disk.
  public static func lines(_ statement: ProofStatement) -> [String] {
    zip(statement.source.claim.disks, statement.target.claim.disks).map { source, target in
      let head = "\(target.slot) \(target.disk): \(target.verdict?.rawValue ?? "?")"
      switch target.verdict {
      case .identical: return "\(head), \(target.grid.sizeBytes) bytes, sha256 \(hash(target))"
      case .differing:
        return
          "\(head), \(target.grid.sizeBytes) bytes, sha256 \(hash(source)) at the source, \(hash(target)) at "
          + "the standby; \(places(source, target))"
      case .inconclusive, nil: return "\(head), \(unread(source, target))"
      }
    }
  }

  private static func trouble(_ statement: ProofStatement, _ verdict: ProofVerdict) -> String {
    for (source, target) in zip(statement.source.claim.disks, statement.target.claim.disks)
    where target.verdict == verdict {
      return "disk \(target.slot): "
        + (verdict == .differing ? places(source, target) : unread(source, target))
    }
    return "no disk"
  }

  private static func places(_ source: ProofClaim.Disk, _ target: ProofClaim.Disk) -> String {
    let sides = [("standby", target.differing), ("source", source.differing)].compactMap { side, found in
      found.map { found in
        let list = found.offsetsBytes.map { "\($0)" }.joined(separator: ", ")
        let more = found.pages > Int64(found.offsetsBytes.count) ? " and more" : ""
        return "\(found.pages) page(s) of the \(side) are not as its digest map says, at byte \(list)\(more)"
      }
    }
    return sides.isEmpty ? "where is not known: both are as their maps say" : sides.joined(separator: "; ")
  }

  private static func unread(_ source: ProofClaim.Disk, _ target: ProofClaim.Disk) -> String {
    let sides = [("source", source.unreadable), ("standby", target.unreadable)].compactMap { side, found in
      found.map { "the \(side) cannot be read: \(SafeText.printable($0.cause))" }
    }
    return sides.isEmpty ? "it was not read" : sides.joined(separator: "; ")
  }

  private static func hash(_ disk: ProofClaim.Disk) -> String { disk.sha256.map { "\($0)" } ?? "unknown" }
}
