import ReplIO
import ReplModel
import Synchronization

/// Summaries of standbys between whose two looks nothing happened, so that a look at a store of thousands
/// reads what changed and not all of it. What it says is checked against the files each time.
final class SummaryCache: Sendable {
  /// What tells that a summary still holds.
  struct Stamp: Equatable, Sendable {
    /// Replaced whenever it changes, and so another file each time.
    fileprivate let catalog: FileStatus
    /// Changes when a journal comes or goes.
    fileprivate let journals: FileStatus
    fileprivate let hasMarker: Bool
  }

  /// Two changes may bear the same time when they follow each other closely: what has just changed is read
  /// again.
  private static let settledNanoseconds: Int64 = 1_000_000_000

  private let entries = Mutex<[String: (stamp: Stamp, summary: StandbySummary)]>([:])

  /// Nil when it cannot be told by a few looks: only directories of the operating system have such stamps.
  func stamp(of name: String, in root: any StorageDirectory) throws(IOError) -> Stamp? {
    let hidden = "\(name)/\(StandbyLayout.privateDirectory)"
    guard let root = root as? PosixDirectory,
      let catalog = try root.status(of: "\(hidden)/\(StandbyLayout.catalog)"),
      let journals = try root.status(of: "\(hidden)/\(StandbyLayout.journalDirectory)")
    else { return nil }
    let marker = try root.status(of: "\(name)/\(StandbyLayout.settlingFile)")
    return Stamp(catalog: catalog, journals: journals, hasMarker: marker != nil)
  }

  /// What was read when the stamp was this one.
  func summary(of name: String, at stamp: Stamp) -> StandbySummary? {
    entries.withLock { entries in
      guard let entry = entries[name], entry.stamp == stamp else { return nil }
      return entry.summary
    }
  }

  /// Keeps what was read after `stamp` was taken. `isQuiet` when no journal was there: a commit is written to
  /// a journal without a change to be seen in its folder.
  func keep(_ summary: StandbySummary, of name: String, at stamp: Stamp, isQuiet: Bool, now: WallTime) {
    let newest = max(stamp.catalog.changedNanoseconds, stamp.journals.changedNanoseconds)
    let isOld = now.millisecondsSince1970 * 1_000_000 - newest > Self.settledNanoseconds
    guard isQuiet, isOld, summary.problem == nil, summary.pending == nil else { return }
    entries.withLock { $0[name] = (stamp, summary) }
  }

  /// Only these folders are left.
  func retain(_ names: Set<String>) {
    entries.withLock { entries in
      if entries.count > names.count { entries = entries.filter { names.contains($0.key) } }
    }
  }
}
