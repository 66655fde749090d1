import ReplIO
import ReplStandby

/// A journal of the data in batch records; each turn writes a new file, as each pass does.
enum JournalLoop {
  private static let name = "journal"

  static func append(_ inputs: Inputs, syncs: Bool) throws -> Double {
    let pieces = inputs.pieces
    return try Rate.measureParts(bytes: inputs.data.count) {
      let journal = try TrialJournal(name, in: inputs.folder)
      let start = SystemTime().monotonicNanoseconds()
      for piece in pieces { try journal.append(piece) }
      if syncs { try journal.sync() }
      let elapsed = SystemTime().monotonicNanoseconds() - start
      try inputs.folder.removeFile(name)
      return elapsed
    }
  }
}
