import Glibc
import ReplIO
import ReplModel

/// What this process has seen of the store, without a look at it: answers at once even when the storage does
/// not.
extension StandbyStore {
  /// Whether the VM's standby was seen in this store, or was made here.
  public func knows(_ vm: VMID) -> Bool { known.withLock { $0[vm] != nil } }

  /// Whose the standby was that was seen of the VM; nil when none was.
  public func knownOwner(of vm: VMID) -> String? { known.withLock { $0[vm]?.owner } }

  /// How many standbys of a peer were seen.
  public func standbyCount(of peer: String) -> Int {
    known.withLock { known in known.values.count { $0.owner == peer } }
  }

  /// Whose the VM's standby is, by its catalog; nil when the store has none. Looks only into its own folder
  /// when that is known.
  public func owner(of vm: VMID) throws(StandbyError) -> String? {
    guard let name = try directoryName(of: vm) else { return nil }
    return summary(of: name)?.catalog?.owner
  }

  func remember(_ directory: String, for vm: VMID, owner: String) {
    known.withLock { $0[vm] = Known(directory: directory, owner: owner) }
  }

  func rememberedDirectory(of vm: VMID) -> String? { known.withLock { $0[vm]?.directory } }

  func forgetDirectory(of vm: VMID) { known.withLock { $0[vm] = nil } }

  func rememberedVM(in directory: String) -> VMID? {
    known.withLock { known in known.first { $0.value.directory == directory }?.key }
  }

  /// After a look at all folders: a VM of which there are two is in no place that could be told.
  func remember(_ summaries: [StandbySummary]) {
    let found = Dictionary(grouping: summaries.filter { $0.catalog != nil }) { $0.catalog!.vm }
    let silent = Set(summaries.compactMap(\.knownVM))
    known.withLock { known in
      known = known.filter { found[$0.key] == nil && silent.contains($0.key) }
      for (vm, places) in found where places.count == 1 {
        known[vm] = Known(directory: places[0].directory, owner: places[0].catalog!.owner)
      }
    }
  }

  /// The standbys in folders that have not been seen yet: a folder never becomes that of another VM.
  func unseenStandbys() throws(StandbyError) -> [StandbySummary] {
    let seen = known.withLock { Set($0.values.map(\.directory)) }
    let names = try storing { () throws(IOError) in try root.entryNames() }
    let summaries = withoutCopies(look(into: names.filter { !$0.hasPrefix(".") && !seen.contains($0) }))
    let found = Dictionary(grouping: summaries.filter { $0.catalog != nil }) { $0.catalog!.vm }
    known.withLock { known in
      for (vm, places) in found where places.count == 1 && known[vm] == nil {
        known[vm] = Known(directory: places[0].directory, owner: places[0].catalog!.owner)
      }
    }
    return summaries
  }

  /// Throws when a standby of the VM is here, or may be.
  func checkIsNew(_ vm: VMID) throws(StandbyError) {
    for summary in try unseenStandbys() {
      if let problem = summary.problem, summary.mayBe(vm) { throw problem }
      if summary.catalog?.vm == vm {
        throw .duplicateVM(vm: vm, paths: ["\(root.path)/\(summary.directory)"])
      }
    }
    if let name = rememberedDirectory(of: vm) { throw .duplicateVM(vm: vm, paths: ["\(root.path)/\(name)"]) }
  }

  /// What folders say, in the order of their names. One that does not answer is a problem of its own.
  func look(into names: [String]) -> [StandbySummary] {
    let answers = scan.run(names) { [self] in summary(of: $0) }
    var summaries: [StandbySummary] = []
    for (name, answer) in zip(names, answers) {
      switch answer {
      case .found(nil): break
      case .found(let summary?): summaries.append(summary)
      case .silent(let since):
        let vm = rememberedVM(in: name)
        // A stranger's folder that hangs is no standby; one of ours has such a name, or was seen before.
        guard vm != nil || StandbyLayout.isStandbyDirectory(name) else { continue }
        let error = IOError(
          .system(ETIMEDOUT), "look into", path: "\(root.path)/\(name)",
          detail: "it has not answered since \(since): is its storage reachable?")
        summaries.append(
          StandbySummary(
            directory: name, catalog: nil, problem: .storage(error), pending: nil, isSettling: false,
            knownVM: vm))
      }
    }
    return summaries
  }
}

extension StandbySummary {
  /// Whether the folder may hold the standby of `vm`, although it cannot be read now.
  func mayBe(_ vm: VMID) -> Bool {
    guard let problem else { return false }
    if let knownVM { return knownVM == vm }
    return problem.isAbout(vm)
  }
}
