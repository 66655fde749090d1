import ReplModel
import ReplService

/// Who is replicated and who is not: the answer of the rules.
struct RosterOutcome: Sendable {
  /// A VM that passes run for.
  struct Member: Sendable, Hashable {
    let vm: SenderConfig.VM
    /// The watched folder that protects it; nil for one that the configuration names.
    let folder: String?
    /// What its VMX says it is called; nil where that cannot be read.
    let displayName: String?
  }

  /// A VM that was found and that no pass runs for.
  struct Found: Sendable, Hashable {
    let path: String
    let folder: String
    /// Its own, or the one that stands for its path.
    let id: VMID
    let name: String
    /// Why it could not be protected as it is.
    let problem: String?
  }

  var members: [Member] = []
  /// Which VM each member's path is; a path whose VM is not known, or is another path's, is not in it.
  var claims: [String: VMID] = [:]
  var gone: [VMID: GoneVM] = [:]
  var found: [Found] = []
  /// For people, a sentence each.
  var warnings: [String] = []
  /// Whether a folder, or a part of one, could not be looked at: VMs may be missing.
  var isIncomplete = false
}
