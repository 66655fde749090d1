import ReplIO
import ReplModel

/// What one journal file holds, found by reading all of it.
struct JournalScan {
  let name: String
  /// Stands behind the last verified record. Nil when the file is of no use to anybody: not even its header
  /// is there, so that nothing in it was ever synced, or it cannot be read and has no commit.
  let reader: RecordReader?
  let commit: CommitRecord?
  /// Where the commit record begins.
  let commitOffsetBytes: Int64

  init(_ name: String, in directory: any StorageDirectory) throws(StandbyError) {
    self.name = name
    let file = try storing { () throws(IOError) in try directory.openFile(name, .readWrite) }
    guard let reader = try RecordReader.open(file), reader.header.kind == .journal else {
      if try RecordReader.holdsCommit(in: file, from: 0, identity: nil) {
        throw .journalDamaged(path: file.path, detail: "its header is gone, but it holds a commit")
      }
      (self.reader, commit, commitOffsetBytes) = (nil, nil, 0)
      return
    }
    do throws(StandbyError) {
      (commit, commitOffsetBytes) = try Self.findCommit(in: reader)
      self.reader = reader
    } catch {
      guard case .storage = error, try reader.endsWithoutCommit() else { throw error }
      (self.reader, commit, commitOffsetBytes) = (nil, nil, 0)
    }
  }

  private static func findCommit(in reader: RecordReader) throws(StandbyError) -> (CommitRecord?, Int64) {
    var offset: Int64 = 0
    while let record = try reader.next() {
      offset = record.offsetBytes
      if let commit = try check(record, in: reader) { return (commit, offset) }
    }
    if try reader.holdsCommitBehindEnd() {
      throw .journalDamaged(
        path: reader.file.path,
        detail: "the record at byte \(reader.endBytes) is gone, but a commit follows it")
    }
    return (nil, offset)
  }

  /// Checks that a record makes sense; the commit when it is one.
  private static func check(_ record: Record, in reader: RecordReader) throws(StandbyError) -> CommitRecord? {
    let makesSense: Bool
    switch record.type {
    case .batch: makesSense = BatchRecord(record, disks: reader.header.description.disks) != nil
    case .file: makesSense = FileRecord(record) != nil
    case .seal: makesSense = false
    case .commit:
      guard let commit: CommitRecord = RecordJSON.decode(Array(record.body)),
        commit.point.vm == reader.header.description.vm, commit.point.disks.count == commit.disks.count
      else { throw .journalDamaged(path: reader.file.path, detail: "its commit record makes no sense") }
      return commit
    }
    guard makesSense else {
      throw .journalDamaged(
        path: reader.file.path, detail: "the record at byte \(record.offsetBytes) makes no sense")
    }
    return nil
  }
}

extension Standby {
  func journalNames() throws(StandbyError) -> [String] {
    let names = try storing { () throws(IOError) in try home.journals.entryNames() }
      .filter { $0.hasSuffix(StandbyLayout.journalSuffix) }
    guard names.count <= Limits.journals else {
      throw .journalDamaged(
        path: home.journals.path, detail: "\(names.count) journals, at most \(Limits.journals) can be")
    }
    return names
  }

  /// Removes a journal, durably.
  func dropJournal(_ name: String) throws(StandbyError) {
    try storing { () throws(IOError) in
      if try home.journals.contains(name) { try home.journals.removeFile(name) }
      try home.journals.sync()
    }
    store.clearSuspect(suspicion(ofJournal: name))
  }

  func suspicion(ofJournal name: String) -> String { "\(catalog.standby)/journal/\(name)" }

  /// Drops a journal whose sync failed: what a reader sees in it need not be on the medium. When even that
  /// fails, this process remembers.
  func dropSuspectJournal(_ name: String) {
    store.markSuspect(suspicion(ofJournal: name))
    // The failed sync is what the caller tells.
    try? dropJournal(name)
  }
}
