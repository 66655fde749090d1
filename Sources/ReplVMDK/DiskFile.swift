import ReplIO
import ReplModel

/// A file that a disk is read from: opened when it is needed, closed when many others are, and the same file
/// each time.
final class DiskFile: StorageFile {
  /// Where its bytes come from.
  enum Source: Sendable {
    case beneath(PosixDirectory)
    case device
    /// The caller holds it open.
    case fixed(PosixFile)
  }

  let place: DiskFileName
  /// For messages: beneath the VM's folder, or absolute.
  let path: String
  /// When it was opened first.
  let status: FileStatus
  private let source: Source
  private let pool: OpenFiles
  private let key: Int

  init(_ source: Source, at place: DiskFileName, path: String, pool: OpenFiles) throws(IOError) {
    self.source = source
    self.place = place
    self.path = path
    self.pool = pool
    let file = try Self.open(source, place)
    status = try file.status()
    key = pool.newKey()
    pool.keep(file, key)
  }

  private static func open(_ source: Source, _ place: DiskFileName) throws(IOError) -> PosixFile {
    switch source {
    case .fixed(let file): return file
    case .device: return try PosixFile.blockDevice(path: place.path)
    case .beneath(let root):
      guard let raw = place.rawName else { return try root.openPosixFile(place.name, .read) }
      return try root.openPosixFile(rawName: raw, shown: place.name)
    }
  }

  /// By name: what is there now.
  func reopened() throws(IOError) -> PosixFile { try Self.open(source, place) }

  /// The file that was opened first, whatever has its name by now.
  func opened() throws(IOError) -> PosixFile {
    if case .fixed(let file) = source { return file }
    if let known = pool.file(key) { return known }
    let file = try reopened()
    let now = try file.status()
    guard now.device == status.device, now.inode == status.inode else {
      throw IOError(
        .damaged, "open", path: file.path, detail: "another file was put in its place while it was read")
    }
    pool.keep(file, key)
    return file
  }

  // MARK: StorageFile

  var sizeBytes: Int64 {
    // As of `PosixFile`: whoever reads then gets the error.
    (try? currentSizeBytes()) ?? 0
  }

  func currentSizeBytes() throws(IOError) -> Int64 { try opened().currentSizeBytes() }

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int64) throws(IOError) {
    try opened().readSparingCache(into: buffer, at: offset)
  }

  func allocatedRange(atOrAfter offset: Int64) throws(IOError) -> ByteRange? {
    try opened().allocatedRange(atOrAfter: offset)
  }

  func forgetCached(_ range: ByteRange) throws(IOError) { try opened().forgetCached(range) }

  func write(_ buffer: UnsafeRawBufferPointer, at offset: Int64) throws(IOError) { throw readOnly("write") }
  func writeZeros(_ range: ByteRange) throws(IOError) { throw readOnly("write zeros") }
  func sync() throws(IOError) { throw readOnly("sync") }
  func truncate(to sizeBytes: Int64) throws(IOError) { throw readOnly("truncate") }

  private func readOnly(_ operation: String) -> IOError {
    IOError(.refusedName, operation, path: path, detail: "a source's disk is only ever read")
  }
}
