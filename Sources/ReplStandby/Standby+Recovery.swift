import ReplIO
import ReplModel

extension Standby {
  /// Brings the standby to the state in which a pass can begin; the same at start-up, after a crash and
  /// between passes.
  func runRecovery() {
    do throws(StandbyError) {
      recovery = .success(try recover())
    } catch {
      recovery = .failure(error)
    }
  }

  private func recover() throws(StandbyError) -> Recovery {
    // What a killed program renamed and never synced is visible; from here on it is durable as well.
    try storing { () throws(IOError) in try home.privateDirectory.sync() }
    if catalog.fence != nil { return .fenced }
    try clearEnded()
    var outcome = Recovery.nothing
    var scans: [JournalScan] = []
    for name in try journalNames() {
      if store.isSuspect(suspicion(ofJournal: name)) {
        try dropJournal(name)
        outcome = .discarded
      } else {
        scans.append(try JournalScan(name, in: home.journals))
      }
    }
    let committed = scans.filter { $0.commit != nil }
      .sorted { $0.commit!.point.reference < $1.commit!.point.reference }
    for scan in committed { outcome = try recover(committed: scan) ?? outcome }
    try checkMarker()
    var headStarts = 0
    for scan in scans where scan.commit == nil {
      if scan.reader != nil, scan.reader?.header.description.base == catalog.newest?.reference,
        headStarts == 0
      {
        headStarts += 1
        if outcome == .nothing { outcome = .headStart }
      } else {
        try dropJournal(scan.name)
        if outcome == .nothing { outcome = .discarded }
      }
    }
    return outcome
  }

  /// A journal with a commit record: settles it when the catalog does not know its point yet.
  private func recover(committed scan: JournalScan) throws(StandbyError) -> Recovery? {
    guard let commit = scan.commit, let reader = scan.reader else { return nil }
    let settling = Settling(standby: self, journalName: scan.name, reader: reader, commit: commit, live: [:])
    let reference = commit.point.reference
    if let newest = catalog.newest, reference <= newest.reference {
      // Of the same number but another pass: its commit was refused and never told to anyone.
      guard newest.reference == reference, newest.pass == commit.point.pass else {
        try dropJournal(scan.name)
        return .discarded
      }
      // Written again: that the catalog can be read does not say that its name was durable before the crash.
      try update { _ in }
      try settling.finish()
      return .settled(reference)
    }
    guard reader.header.description.base == catalog.newest?.reference else {
      throw .journalDamaged(
        path: reader.file.path,
        detail: "it builds on point \(Self.text(reader.header.description.base)), the newest is "
          + Self.text(catalog.newest?.reference))
    }
    try rewriteCommit(scan, reader)
    try settling.run()
    return .settled(reference)
  }

  /// Writes the commit record once more and syncs it: that it can be read does not say that it was durable
  /// before. After that nothing can take the point back, and the disks may be written.
  private func rewriteCommit(_ scan: JournalScan, _ reader: RecordReader) throws(StandbyError) {
    let length = Int(reader.endBytes - scan.commitOffsetBytes)
    let buffer = AlignedBuffer(byteCount: length)
    try storing { () throws(IOError) in
      try reader.file.read(into: buffer.bytes, at: scan.commitOffsetBytes)
      try reader.file.write(buffer.readable, at: scan.commitOffsetBytes)
      try reader.file.sync()
      try home.journals.sync()
    }
  }

  /// The marker goes before its journal does. One without a journal means that somebody removed the journal.
  private func checkMarker() throws(StandbyError) {
    guard try storing({ () throws(IOError) in try home.directory.contains(StandbyLayout.settlingFile) })
    else {
      return
    }
    throw .journalDamaged(
      path: "\(home.directory.path)/\(StandbyLayout.settlingFile)",
      detail: "it says that a point is being settled, but no journal of that point is here")
  }

  private static func text(_ reference: PointReference?) -> String {
    reference.map(String.init(describing:)) ?? "none"
  }
}
