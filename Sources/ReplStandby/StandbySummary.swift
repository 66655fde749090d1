import Glibc
import ReplIO
import ReplModel

/// A standby as its catalog shows it, without its lock.
public struct StandbySummary: Sendable {
  /// Name of its directory in the store.
  public let directory: String
  /// Nil when it could not be read; `problem` says why.
  public let catalog: Catalog?
  public let problem: StandbyError?
  /// A committed point that is not yet in the catalog: the next open settles it.
  public let pending: RecoveryPoint?
  /// A committed point is not yet wholly in the disks.
  public let isSettling: Bool
  /// Of a folder that does not answer: the VM that was seen in it before.
  public var knownVM: VMID?

  /// The newest committed point, settled or not.
  public var newestPoint: RecoveryPoint? { pending ?? catalog?.newest }
}

extension StandbyStore {
  /// All standbys of the store, by directory name: a standby is known by its catalog, and its folder may have
  /// been renamed. Directories that are none are left out; a copy of a standby beside it is a problem.
  public func standbys() throws(StandbyError) -> [StandbySummary] {
    let names = try storing { () throws(IOError) in try root.entryNames() }.filter { !$0.hasPrefix(".") }
    let summaries = withoutCopies(look(into: names))
    cache.retain(Set(names))
    remember(summaries)
    return summaries
  }

  func withoutCopies(_ summaries: [StandbySummary]) -> [StandbySummary] {
    let inPlace = Set(summaries.filter { $0.directory == $0.catalog?.directoryName }.map(\.directory))
    return summaries.map { summary in
      guard let catalog = summary.catalog, catalog.directoryName != summary.directory,
        inPlace.contains(catalog.directoryName)
      else { return summary }
      let paths = [catalog.directoryName, summary.directory].map { "\(root.path)/\($0)" }
      return StandbySummary(
        directory: summary.directory, catalog: nil, problem: .duplicateVM(vm: catalog.vm, paths: paths),
        pending: nil, isSettling: false)
    }
  }

  /// Sentences about folders that a person should look at: a renamed standby, and one without a catalog.
  public func remarks() throws(StandbyError) -> [String] {
    var remarks: [String] = []
    for name in try storing({ () throws(IOError) in try root.entryNames() }) where !name.hasPrefix(".") {
      if let catalog = summary(of: name)?.catalog {
        if catalog.directoryName == name { continue }
        remarks.append(
          "\(root.path)/\(name) is standby \(catalog.directoryName), renamed: it is used as it is")
      } else if hasPrivateDirectory(name) {
        remarks.append(
          "\(root.path)/\(name) has a \(StandbyLayout.privateDirectory) folder but no readable catalog: it "
            + "is not used; restore the catalog, or move the folder out of the store")
      }
    }
    return remarks
  }

  /// Throws, and names the file, when a point (nil: the newest) cannot be started. Needs no lock.
  /// `takesChanged`: also disks that somebody else wrote.
  public func checkStartable(
    _ summary: StandbySummary, _ point: RecoveryPoint? = nil, takesChanged: Bool = false
  ) throws(StandbyError) {
    guard let catalog = summary.catalog, let point = point ?? summary.newestPoint else { return }
    let home = try storing { () throws(IOError) in try StandbyHome.open(summary.directory, in: root) }
    do throws(StandbyError) {
      try StartCheck(
        files: files, home: home, catalog: catalog, point: point, settling: summary.pending,
        takesChanged: takesChanged, devices: options.devices
      ).run()
    } catch {
      // A point that was settled meanwhile has changed the disks.
      guard case .diverged = error, let now = self.summary(of: summary.directory),
        now.catalog != summary.catalog || now.isSettling
      else { throw error }
    }
  }

  /// Whether `name` is how the folder of a standby of this VM begins: its slug.
  public static func isDirectory(_ directory: String, ofVMCalled name: String) -> Bool {
    directory == name || directory.hasPrefix("\(StandbyLayout.slug(of: name))-")
  }

  func summary(of name: String) -> StandbySummary? {
    // Whatever keeps it from being told, reading says what it is.
    guard let stamp = (try? cache.stamp(of: name, in: root)) ?? nil else {
      return readSummary(of: name).summary
    }
    if let summary = cache.summary(of: name, at: stamp) { return summary }
    let (summary, isQuiet) = readSummary(of: name)
    if let summary { cache.keep(summary, of: name, at: stamp, isQuiet: isQuiet, now: time.wallTime()) }
    return summary
  }

  /// `isQuiet` when it has no journal.
  private func readSummary(of name: String) -> (summary: StandbySummary?, isQuiet: Bool) {
    do throws(StandbyError) {
      guard let (home, directory) = try folders(of: name), let catalog = try Catalog.load(from: directory)
      else { return (nil, false) }
      let hasMarker = try storing { () throws(IOError) in try home.contains(StandbyLayout.settlingFile) }
      let pending = pendingPoint(catalog, directory)
      let summary = StandbySummary(
        directory: name, catalog: catalog, problem: nil, pending: pending,
        isSettling: hasMarker || pending != nil)
      return (summary, hasNoJournal(directory))
    } catch {
      let summary = StandbySummary(
        directory: name, catalog: nil, problem: error, pending: nil, isSettling: false)
      return (summary, false)
    }
  }

  /// Nil when it is no standby's folder.
  private func folders(
    of name: String
  ) throws(StandbyError) -> (home: any StorageDirectory, hidden: any StorageDirectory)? {
    do throws(IOError) {
      let home = try root.openDirectory(name)
      guard try home.contains(StandbyLayout.privateDirectory) else { return nil }
      return (home, try home.openDirectory(StandbyLayout.privateDirectory))
    } catch {
      // A plain file in the store's root is none of ours, nor is what has another name and is closed to us.
      if error.systemCode == ENOTDIR || !StandbyLayout.isStandbyDirectory(name) { return nil }
      throw StandbyError(error)
    }
  }

  private func hasPrivateDirectory(_ name: String) -> Bool {
    // What cannot be opened is told by `standbys`.
    (try? folders(of: name)) != nil
  }

  private func hasNoJournal(_ directory: any StorageDirectory) -> Bool {
    // One that cannot be listed may hold anything.
    (try? directory.openDirectory(StandbyLayout.journalDirectory).entryNames().isEmpty) ?? false
  }

  /// Reads the journals without the standby's lock, and changes nothing.
  private func pendingPoint(_ catalog: Catalog, _ directory: any StorageDirectory) -> RecoveryPoint? {
    if catalog.fence != nil { return nil }
    // Journals come and go while a pass runs: what cannot be read now is of no point that waits.
    return try? storing { () throws(IOError) in try directory.openDirectory(StandbyLayout.journalDirectory) }
      .committedPoint(after: catalog.newest?.reference)
  }
}

extension StorageDirectory {
  /// The point that a journal in this directory commits on top of `base`.
  fileprivate func committedPoint(after base: PointReference?) throws(StandbyError) -> RecoveryPoint? {
    for name in try storing({ () throws(IOError) in try entryNames() })
    where name.hasSuffix(StandbyLayout.journalSuffix) {
      let file = try storing { () throws(IOError) in try openFile(name, .read) }
      guard let reader = try RecordReader.open(file), reader.header.kind == .journal,
        reader.header.description.base == base, let body = try reader.peekCommit(),
        let commit: CommitRecord = RecordJSON.decode(body)
      else { continue }
      if base.map({ commit.point.reference > $0 }) ?? true { return commit.point }
    }
    return nil
  }
}

extension StandbyError {
  /// Whether a folder with this problem may hold the standby of `vm`.
  func isAbout(_ vm: VMID) -> Bool {
    if case .duplicateVM(let other, _) = self { other == vm } else { true }
  }
}
