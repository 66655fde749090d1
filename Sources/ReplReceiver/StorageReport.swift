import ReplIO
import ReplService

/// What a probe found, for people: a line a trait with what follows from it.
enum StorageReport {
  struct Line {
    let trait: String
    let found: String
    let meaning: String
  }

  static func lines(_ traits: StorageTraits) -> [Line] {
    [
      Line(
        trait: "filesystem", found: traits.filesystem,
        meaning: "nothing is decided by it"),
      sparse(traits), holes(traits),
      Line(
        trait: "hole map", found: yes(traits.tellsHoles),
        meaning: traits.tellsHoles ? "empty parts are not read" : "disks are read in full"),
      Line(
        trait: "fallocate", found: yes(traits.reservesSpace),
        meaning: "not used: disks stay thin where they can"),
      Line(
        trait: "reflink", found: yes(traits.sharesBlocks),
        meaning: traits.sharesBlocks
          ? "copies of a disk take no space" : "a copy of a disk takes its full space"),
      Line(
        trait: "O_DIRECT", found: yes(traits.readsDirectly),
        meaning: "not used: reading goes through the cache"),
      Line(trait: "mmap", found: "-", meaning: "not used: nothing depends on it"),
      Line(
        trait: "rename", found: traits.replacesByRename ? "replaces" : "does not replace",
        meaning: traits.replacesByRename ? "catalogs are replaced in one step" : "not usable"),
      Line(
        trait: "folder sync", found: yes(traits.syncsDirectories),
        meaning: traits.syncsDirectories ? "names outlive a power cut" : "not usable"),
      Line(
        trait: "locks", found: yes(traits.locksFiles),
        meaning: traits.locksFiles ? "one program at a time writes a standby" : "not usable"),
      largest(traits),
      Line(
        trait: "free space", found: AmountText.size(bytes: traits.freeBytes), meaning: "to an ordinary user"),
      sync(traits),
    ]
  }

  /// All of it in one line, for the log.
  static func line(_ traits: StorageTraits) -> String {
    let flags = [
      ("sparse", traits.isSparse), ("holes", traits.punchesHoles), ("hole-map", traits.tellsHoles),
      ("fallocate", traits.reservesSpace), ("reflink", traits.sharesBlocks), ("direct", traits.readsDirectly),
      ("rename", traits.replacesByRename), ("folder-sync", traits.syncsDirectories),
      ("locks", traits.locksFiles),
    ]
    return "\(traits.filesystem): " + flags.map { "\($0.1 ? "" : "no-")\($0.0)" }.joined(separator: " ")
      + ", files up to \(AmountText.size(bytes: traits.largestFileBytes)), "
      + "\(AmountText.size(bytes: traits.freeBytes)) free, sync \(milliseconds(traits.syncMedianSeconds)) "
      + "(slowest \(milliseconds(traits.syncSlowestSeconds)))"
  }

  private static func sparse(_ traits: StorageTraits) -> Line {
    Line(
      trait: "sparse files", found: yes(traits.isSparse),
      meaning: traits.isSparse
        ? "a disk takes the space of what is in it"
        : "a disk takes all of its size at once: one that does not fit is refused")
  }

  private static func holes(_ traits: StorageTraits) -> Line {
    let (found, meaning) =
      switch traits.holes {
      case .freed: ("yes", "what becomes empty gives its space back")
      case .zeroed: ("reads as zero", "what becomes empty reads as zero; space was not seen to come back")
      case .refused: ("no", "zeros are written instead; space does not come back")
      case .wrong: ("WRONG", "the bytes are not what they must be: zeros are written instead")
      }
    return Line(trait: "punched holes", found: found, meaning: meaning)
  }

  private static func largest(_ traits: StorageTraits) -> Line {
    let isEnough = traits.largestFileBytes >= StorageProbe.sizeOfInterest
    let size = AmountText.size(bytes: traits.largestFileBytes)
    return Line(
      trait: "largest file", found: isEnough ? "\(size) or more" : size,
      meaning: isEnough ? "larger than any disk" : "a larger disk is refused")
  }

  private static func sync(_ traits: StorageTraits) -> Line {
    Line(
      trait: "sync", found: milliseconds(traits.syncMedianSeconds),
      meaning: "slowest \(milliseconds(traits.syncSlowestSeconds)); a pass needs a few dozen")
  }

  private static func yes(_ flag: Bool) -> String { flag ? "yes" : "no" }

  private static func milliseconds(_ seconds: Double) -> String {
    let tenths = Int((seconds * 10_000).rounded())
    return "\(tenths / 10).\(tenths % 10) ms"
  }
}
