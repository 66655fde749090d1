import FoundationEssentials
import ReplIO
import ReplModel
import Synchronization

/// The freezes that are not yet undone, one small file each, replaced atomically: `<tag>.json`. Beside it
/// `<tag>.lock`, which the process that holds the freeze has locked while it lives.
final class FreezeLedger: Sendable {
  /// A record is a few KB: argument lists of at most 64 arguments and one folder per clone directory.
  private static let recordLimitBytes = 1 << 20
  private static let recordSuffix = ".json"
  private static let lockSuffix = ".lock"
  private static let installationFile = "installation"

  private let directory: any StorageDirectory
  /// Eight hex digits that no other sender has; part of every tag.
  let installation: String
  /// Whose the records are, as far as this process has written or read them: with many records, clones that
  /// are kept above all, reading each at every freeze takes longer than the freezes.
  private let owners = Mutex<[FreezeTag: Owner]>([:])

  /// The VM that was frozen, and where it was.
  struct Owner: Sendable, Hashable {
    let vm: VMID
    let vmxPath: String

    init(_ record: FreezeRecord) { (vm, vmxPath) = (record.vm, record.vmxPath) }
  }

  init(directory: any StorageDirectory) throws(IOError) {
    self.directory = directory
    installation = try Self.installation(in: directory)
    try removeStrayLocks()
  }

  var path: String { directory.path }

  private static func installation(in directory: any StorageDirectory) throws(IOError) -> String {
    if try directory.contains(installationFile) {
      let bytes = try directory.readFile(installationFile, limitBytes: 64)
      let text = String(decoding: bytes.prefix { $0 != 0x0A }, as: UTF8.self)
      guard FreezeTag.isDigits(text) else {
        throw IOError(
          .damaged, "read", path: "\(directory.path)/\(installationFile)",
          detail: "eight hex digits were expected: restore the file, or remove it when no freeze is listed "
            + "beside it")
      }
      return text
    }
    let fresh = FreezeTag.randomDigits()
    try directory.replaceFile(installationFile, with: Array("\(fresh)\n".utf8))
    return fresh
  }

  /// Of freezes that were begun and not written, or undone and not quite removed.
  private func removeStrayLocks() throws(IOError) {
    let names = try directory.entryNames()
    for name in names where name.hasSuffix(Self.lockSuffix) || name.hasSuffix(Self.recordSuffix + ".new") {
      let tag = name.prefix { $0 != "." }
      guard !names.contains(tag + Self.recordSuffix) else { continue }
      guard let lock = try directory.tryLock(tag + Self.lockSuffix) else { continue }
      if name.hasSuffix(Self.lockSuffix) || names.contains(name) { try directory.removeFile(name) }
      if !name.hasSuffix(Self.lockSuffix) { try directory.removeFile(tag + Self.lockSuffix) }
      withExtendedLifetime(lock) {}
    }
  }

  /// One freeze, held by this process.
  final class Entry: Sendable {
    let tag: FreezeTag
    private let ledger: FreezeLedger
    private let lock: FileLock

    fileprivate init(tag: FreezeTag, ledger: FreezeLedger, lock: FileLock) {
      self.tag = tag
      self.ledger = ledger
      self.lock = lock
    }

    /// Durable when it returns. A record that owes nothing any more is removed.
    func write(_ record: FreezeRecord) throws(IOError) {
      let name = tag.description + recordSuffix
      guard record.isSettled else {
        try ledger.directory.replaceFile(name, with: try encode(record))
        return ledger.owners.withLock { $0[tag] = Owner(record) }
      }
      try forget()
    }

    /// Removes the record and the lock file, when there are any: a freeze that owes nothing is written more
    /// than once.
    func forget() throws(IOError) {
      ledger.owners.withLock { _ = $0.removeValue(forKey: tag) }
      for name in [tag.description + recordSuffix, tag.description + lockSuffix]
      where try ledger.directory.contains(name) {
        try ledger.directory.removeFile(name)
      }
      try ledger.directory.sync()
    }
  }

  /// A fresh tag, locked; nothing is written yet.
  func begin() throws(IOError) -> Entry {
    while true {
      let tag = FreezeTag(installation: installation)
      guard let lock = try directory.tryLock(tag.description + Self.lockSuffix) else { continue }
      return Entry(tag: tag, ledger: self, lock: lock)
    }
  }

  /// What the ledger holds, by tag; nobody is asked who holds it.
  func tags() throws(IOError) -> [FreezeTag] {
    let tags = try directory.entryNames().compactMap { name in
      name.hasSuffix(Self.recordSuffix) ? FreezeTag(name.dropLast(Self.recordSuffix.utf8.count)) : nil
    }
    // Another process may have undone some.
    let there = Set(tags)
    owners.withLock { owners in owners = owners.filter { there.contains($0.key) } }
    return tags
  }

  /// Whose the record is. Reads it only when this process did not do so before.
  func owner(of tag: FreezeTag) throws(IOError) -> Owner {
    if let known = owners.withLock({ $0[tag] }) { return known }
    return Owner(try read(tag))
  }

  func contains(_ tag: FreezeTag) throws(IOError) -> Bool {
    try directory.contains(tag.description + Self.recordSuffix)
  }

  func read(_ tag: FreezeTag) throws(IOError) -> FreezeRecord {
    let name = tag.description + Self.recordSuffix
    let bytes = try directory.readFile(name, limitBytes: Self.recordLimitBytes)
    let record: FreezeRecord
    do { record = try JSONDecoder().decode(FreezeRecord.self, from: .init(bytes)) } catch {
      throw IOError(
        .damaged, "read", path: "\(directory.path)/\(name)", detail: "it is no record of a freeze")
    }
    guard record.version == FreezeRecord.currentVersion, record.tag == tag.description else {
      throw IOError(
        .damaged, "read", path: "\(directory.path)/\(name)",
        detail: "version \(record.version) of \(SafeText.printable(record.tag)): another version wrote it")
    }
    owners.withLock { $0[tag] = Owner(record) }
    return record
  }

  /// Takes over a freeze that nobody holds any more; nil while somebody does, or when it is gone.
  func claim(_ tag: FreezeTag) throws(IOError) -> Entry? {
    guard let lock = try directory.tryLock(tag.description + Self.lockSuffix) else { return nil }
    guard try contains(tag) else {
      try directory.removeFile(tag.description + Self.lockSuffix)
      return nil
    }
    return Entry(tag: tag, ledger: self, lock: lock)
  }

  private static func encode(_ record: FreezeRecord) throws(IOError) -> [UInt8] {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
    do { return Array(try encoder.encode(record)) } catch {
      throw IOError(.damaged, "write", path: record.tag, detail: "the record of a freeze: \(error)")
    }
  }
}
