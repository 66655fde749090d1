import ReplDigest
import ReplModel
import ReplStandby

extension StatusBoard {
  /// The phase of a failure that is the catalog's own.
  private static let catalogPhase = "catalog"
  /// The phase of a failure that is the store's own.
  private static let storePhase = "store"

  /// Puts what the catalogs of all stores say on the board; one that cannot be read is a VM that stopped.
  /// `isComplete` when every configured store is here: then a VM that none of them has leaves the board.
  public func load(
    _ stores: [StandbyStore], isComplete: Bool, rpoSeconds: Double, now: WallTime
  ) throws(StandbyError) {
    var summaries: [StandbySummary] = []
    for store in stores { summaries += try store.standbys() }
    var found: Set<VMID> = []
    for summary in summaries {
      guard let catalog = summary.catalog else { continue }
      found.insert(catalog.vm)
      update(catalog.vm, name: catalog.displayName, peer: catalog.owner, rpoSeconds: rpoSeconds) { status in
        if [Self.catalogPhase, Self.storePhase].contains(status.lastFailure?.phase) {
          status.lastFailure = nil
          if status.running == nil { status.state = .idle }
        }
        status.describe(catalog, pending: summary.pending, isSettling: summary.isSettling)
      }
    }
    for summary in summaries {
      guard let problem = summary.problem else { continue }
      found.insert(note(problem, of: summary, besides: found, rpoSeconds: rpoSeconds, now: now))
    }
    // A pass that runs may have made its standby after the stores were read.
    if isComplete { retain(found.union(all.filter { $0.running != nil }.map(\.vm))) }
  }

  /// Marks the VMs whose standby is in a store that is missing or does not answer: none of them can be
  /// started now, whatever the age of its newest point.
  func markUnreachable(_ all: StoreShelf.Inventory, now: WallTime) {
    for vm in self.all {
      let holder = all.opened.first { $0.store.knows(vm.vm) }
      // In none that is open: then it is in one that cannot be opened, or about to be made.
      let unopened = vm.running == nil ? all.unopened.first : nil
      guard let error = holder.map(\.error) ?? unopened else { continue }
      update(vm.vm) { $0.markUnreachable("\(error)", error.remedy, phase: Self.storePhase, now: now) }
    }
  }

  /// The entry that this folder's VM had, where the name tells; else one of its own.
  private func note(
    _ problem: StandbyError, of summary: StandbySummary, besides found: Set<VMID>, rpoSeconds: Double,
    now: WallTime
  ) -> VMID {
    let directory = summary.directory
    let known = all.filter {
      !found.contains($0.vm) && StandbyStore.isDirectory(directory, ofVMCalled: $0.name)
    }
    let shown = summary.knownVM.flatMap { self[$0] } ?? (known.count == 1 ? known[0] : nil)
    let vm = shown?.vm ?? Self.identity(of: directory)
    update(vm, name: shown?.name ?? directory, peer: shown?.peer, rpoSeconds: rpoSeconds) { status in
      let cause = "\(problem)"
      status.state = .stopped
      guard status.lastFailure?.cause != cause else { return }
      status.lastFailure = VMStatus.Failure(
        at: now, phase: Self.catalogPhase, cause: cause, remedy: problem.remedy)
    }
    return vm
  }

  /// The same every time, of a VM that only its folder's name tells.
  private static func identity(of directory: String) -> VMID {
    let bytes = SHA256Hasher.hash(Array(directory.utf8)).bytes
    let words = [bytes[0..<8], bytes[8..<16]].map { $0.reduce(UInt64(0)) { $0 << 8 | UInt64($1) } }
    return VMID(high: words[0], low: words[1])
  }
}

extension VMStatus {
  /// Points, disks and state as the catalog has them; `pending` is committed and not in it yet. A pass that
  /// runs keeps its state, and a failure stays until a success; fence and divergence outdo both.
  mutating func describe(_ catalog: Catalog, pending: RecoveryPoint? = nil, isSettling: Bool) {
    // What is committed and cannot be brought into a disk that somebody else wrote is no point to start: the
    // lag goes on rising.
    let reachable = catalog.divergence == nil ? pending : nil
    describePoints(catalog.points + (reachable.map { [$0] } ?? []))
    describeDisks(catalog.disks)
    describeVerification(catalog)
    suspicion = catalog.suspicion.map { Doubt(since: $0.at, pageCount: $0.pageCount, detail: $0.detail) }
    divergence = catalog.divergence.map { found in
      let file = catalog.disk(found.disk)?.flatFileName ?? "disk \(found.disk)"
      return Doubt(
        since: found.at, detail: (found.page.map { "\(file), page \($0): " } ?? "\(file): ") + found.detail)
    }
    if catalog.fence != nil {
      state = .promoted
    } else if catalog.divergence != nil {
      state = .diverged
    } else if catalog.suspicion != nil {
      state = .suspect
    } else if [.suspect, .diverged].contains(state) {
      // What was the matter is over; a failure that came of it is history.
      lastFailure = nil
      state = isSettling ? .settling : catalog.newest == nil ? .seeding : .idle
    } else if running == nil && state != .failing && state != .stopped {
      state = isSettling ? .settling : catalog.newest == nil ? .seeding : .idle
    }
  }

  fileprivate mutating func markUnreachable(
    _ cause: String, _ remedy: Remedy, phase: String, now: WallTime
  ) {
    // Fence and divergence outdo it.
    if ![.promoted, .diverged].contains(state), running == nil { state = .failing }
    guard lastFailure?.cause != cause else { return }
    lastFailure = Failure(at: now, phase: phase, cause: cause, remedy: remedy)
  }

  /// The lag is counted from the newest point that failover takes by default: the newest that is not fuzzy.
  /// When fuzzy points have outlived it, the one that was known before stays, so that the lag goes on rising.
  private mutating func describePoints(_ points: [RecoveryPoint]) {
    func shown(_ point: RecoveryPoint) -> Point {
      Point(reference: point.reference, frozenAt: point.frozenAt, label: point.label)
    }
    if let acceptable = points.last(where: { $0.label != .fuzzy }) {
      newestPoint = shown(acceptable)
    } else if points.isEmpty {
      newestPoint = nil
    }
    fuzzyPoint = points.last.flatMap { $0.label == .fuzzy ? shown($0) : nil }
    pointCount = points.count
    oldestPoint = points.first.map(shown)
  }

  /// A whole point that was verified by command is a round as well.
  private mutating func describeVerification(_ catalog: Catalog) {
    guard let at = catalog.kept.compactMap(\.verifiedAt).max() else { return }
    let total = catalog.newest?.disks.reduce(0) { $0 + $1.grid.sizeBytes } ?? 0
    var known =
      verification ?? Verification(lastAt: at, completeAt: at, doneBytes: 0, totalBytes: total)
    (known.lastAt, known.completeAt) = (max(known.lastAt, at), max(known.completeAt ?? at, at))
    verification = known
  }

  /// In the order of their slots. How far a first copy is, its session says.
  private mutating func describeDisks(_ entries: [CatalogDisk]) {
    let before = disks ?? []
    disks = entries.sorted { ($0.slot, $0.fileStem) < ($1.slot, $1.fileStem) }.map { entry in
      let state: Disk.State =
        switch entry.state {
        case .ready: .ready
        case .seeding: .seeding
        case .detached: .detached
        }
      let seeded = before.first { $0.disk == entry.disk && $0.state == .seeding }?.seededBytes
      return Disk(
        slot: entry.slot, disk: entry.disk, sizeBytes: entry.grid.sizeBytes, state: state,
        seededBytes: state == .seeding ? seeded : nil)
    }
  }
}
