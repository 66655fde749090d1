import FoundationEssentials
import ReplIO
import ReplModel
import ReplPass
import ReplService
import ReplSource
import Synchronization

/// Which VMs are replicated, and who each of them is. Looked at anew once a minute; remembered in the state
/// directory, so that a VM whose VMX cannot be read for a while keeps its name, point and lag.
final class Roster: Sendable {
  /// What a look changed, for the log.
  struct Changes: Sendable {
    var joined: [RosterOutcome.Member] = []
    var left: [RosterOutcome.Member] = []
    var gone: [GoneVM] = []
    var found: [RosterOutcome.Found] = []
    var warnings: [String] = []
    /// Why the memory could not be written; nil when it could, or nothing had to be.
    var failure: IOError?
  }

  private static let fileName = "vms.json"
  /// Some thousand paths of the greatest length.
  private static let fileLimitBytes = 16 << 20

  private struct State {
    var outcome = RosterOutcome()
    /// Which VM each path was when last looked at, in this run or the one before.
    var claims: [String: VMID]
    /// What the file holds.
    var kept: [String: VMID]
  }

  private let config: Mutex<SenderConfig>
  private let directory: any StorageDirectory
  let time: any TimeSource
  private let state: Mutex<State>
  /// One look at a time; held while files are read, unlike `state`.
  private let looking = Mutex(())
  private let scans: RosterScans

  /// Reads what was remembered; knows nobody before the first `look`.
  init(_ config: SenderConfig, directory: any StorageDirectory, time: any TimeSource) {
    self.config = Mutex(config)
    self.directory = directory
    self.time = time
    scans = RosterScans(time: time)
    // Lost memory is no reason not to start: it is learned again.
    let bytes = (try? directory.readFile(Self.fileName, limitBytes: Self.fileLimitBytes)) ?? []
    // As above.
    let kept = (try? JSONDecoder().decode([String: VMID].self, from: Data(bytes))) ?? [:]
    state = Mutex(State(claims: kept, kept: kept))
  }

  /// Another configuration, from the next look on.
  func use(_ new: SenderConfig) { config.withLock { $0 = new } }

  /// Looks into every folder and every VMX, and decides anew. Blocks.
  /// - Parameter keeps: whether what was learned is written down; a look from outside the daemon leaves no
  ///   traces.
  @discardableResult
  func look(keeps: Bool) -> Changes {
    looking.withLock { _ in
      let config = config.withLock { $0 }
      let store = GoneVMs(state: directory)
      let goneBefore = store.load()
      let (before, old) = state.withLock { ($0.claims, $0.outcome) }
      let evidence = RosterEvidence.gather(config, known: before.keys, by: scans)
      let new = RosterRules(
        config: config, evidence: evidence, before: before, goneBefore: goneBefore, now: time.wallTime()
      ).decide()
      var changes = Self.changes(from: old, to: new, goneBefore: goneBefore)
      if keeps {
        do throws(IOError) {
          // First who is gone, then who is there: a crash between the two finds the VM in both.
          try store.keep(new.gone, before: goneBefore)
          try keep(new.claims)
        } catch { changes.failure = error }
      }
      state.withLock { state in
        state.outcome = new
        state.claims = new.claims
      }
      return changes
    }
  }

  private func keep(_ claims: [String: VMID]) throws(IOError) {
    guard state.withLock({ $0.kept }) != claims else { return }
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
    // Why it failed would not matter: texts are always encodable.
    guard let data = try? encoder.encode(claims) else { preconditionFailure("texts are encodable") }
    try directory.replaceFile(Self.fileName, with: Array(data))
    state.withLock { $0.kept = claims }
  }

  private static func changes(
    from old: RosterOutcome, to new: RosterOutcome, goneBefore: [VMID: GoneVM]
  ) -> Changes {
    var changes = Changes()
    let (oldPaths, newPaths) = (Set(old.members.map(\.vm.vmxPath)), Set(new.members.map(\.vm.vmxPath)))
    changes.joined = new.members.filter { !oldPaths.contains($0.vm.vmxPath) }
    changes.left = old.members.filter { !newPaths.contains($0.vm.vmxPath) }
    changes.gone = new.gone.values.filter { goneBefore[$0.vm] == nil }.sorted { $0.path < $1.path }
    let oldFound = Set(old.found.map(\.path))
    changes.found = new.found.filter { !oldFound.contains($0.path) }
    changes.warnings = new.warnings.filter { !old.warnings.contains($0) }
    return changes
  }

  // MARK: - Answers

  var members: [RosterOutcome.Member] { state.withLock { $0.outcome.members } }
  var found: [RosterOutcome.Found] { state.withLock { $0.outcome.found } }
  var gone: [GoneVM] { state.withLock { $0.outcome.gone.values.sorted { $0.path < $1.path } } }
  var warnings: [String] { state.withLock { $0.outcome.warnings } }
  /// Whether a folder could not be looked at, so that VMs may be missing.
  var isIncomplete: Bool { state.withLock { $0.outcome.isIncomplete } }

  /// The member with this VMX; nil when it has left.
  func member(at path: String) -> RosterOutcome.Member? { members.first { $0.vm.vmxPath == path } }

  /// Who the VM at this path is, or what stands for it.
  subscript(path: String) -> VMID {
    state.withLock { $0.outcome.claims[path] } ?? VMIdentity.standIn(for: path)
  }

  /// Makes sure that the VMX at this path is known as this VM.
  /// - Throws: when another path is that VM: two VMX files must never write one standby.
  func confirm(_ path: String, as vm: VMID) throws(SourceError) {
    if self[path] == vm { return }
    let holder = state.withLock { $0.outcome.claims.first { $0.value == vm }?.key }
    // Neither: it was rewritten between two readings.
    guard let holder else { throw .changed(path: path, what: "its UUID was rewritten") }
    throw .sharedIdentity(path: path, other: holder)
  }
}
