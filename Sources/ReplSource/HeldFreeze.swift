import ReplIO
import ReplModel
import Synchronization

/// What keeps the disks of a view still, until it is released. Dropped without that, it is as after a crash:
/// the janitor undoes it.
final class HeldFreeze: Sendable {
  private struct State {
    var record: FreezeRecord
    /// Its lock tells the janitor that this freeze is alive.
    var entry: FreezeLedger.Entry?
    var outcome: Result<FreezeHold, SourceError>?
  }

  private let undo: FreezeUndo
  private let time: any TimeSource
  private let begunNanoseconds: Int64
  private let guestHeldSeconds: Double?
  private let state: Mutex<State>

  init(
    record: FreezeRecord, entry: FreezeLedger.Entry, undo: FreezeUndo, time: any TimeSource,
    begunNanoseconds: Int64, guestHeldSeconds: Double?
  ) {
    self.undo = undo
    self.time = time
    self.begunNanoseconds = begunNanoseconds
    self.guestHeldSeconds = guestHeldSeconds
    state = Mutex(State(record: record, entry: entry))
  }

  /// Blocks. The second call answers what the first did.
  func release() throws(SourceError) -> FreezeHold {
    let outcome: Result<FreezeHold, SourceError> = state.withLock { state in
      if let outcome = state.outcome { return outcome }
      let outcome = end(&state)
      state.outcome = outcome
      return outcome
    }
    return try outcome.get()
  }

  /// What `keepClones` kept: enough to find it again.
  struct Kept: Sendable {
    let tag: FreezeTag
    let clones: [FreezeRecord.CloneFolder]
    let since: WallTime
  }

  /// From now on the release leaves the clones, durably. Nil when there are none, or nothing is held.
  func keepClones() throws(IOError) -> Kept? {
    let outcome: Result<Kept?, IOError> = state.withLock { state in
      guard state.outcome == nil, let entry = state.entry, !state.record.clones.isEmpty else {
        return .success(nil)
      }
      let since = time.wallTime()
      state.record.keptSince = since
      do throws(IOError) { try entry.write(state.record) } catch {
        state.record.keptSince = nil
        return .failure(error)
      }
      return .success(Kept(tag: entry.tag, clones: state.record.clones, since: since))
    }
    return try outcome.get()
  }

  /// The release removes the clones after all.
  func dropClones() { state.withLock { $0.record.keptSince = nil } }

  /// Where its clones lie.
  var cloneFolders: [FreezeRecord.CloneFolder] { state.withLock { $0.record.clones } }

  /// What hooks and commands of this freeze were given.
  var tag: String { state.withLock { $0.record.tag } }

  private func end(_ state: inout State) -> Result<FreezeHold, SourceError> {
    // A guest that could not be thawed before is tried once more.
    let thawing = undo.thaw(&state.record)
    let left = state.record.keptSince == nil ? undo.release(&state.record) : []
    var failure = thawing ?? left.first?.error
    do throws(IOError) { try state.entry?.write(state.record) } catch { failure = failure ?? .io(error) }
    state.entry = nil
    if let failure { return .failure(failure) }
    let held = Double(time.monotonicNanoseconds() - begunNanoseconds) / 1e9
    return .success(FreezeHold(heldSeconds: held, guestHeldSeconds: guestHeldSeconds))
  }
}
