import ReplModel

extension StorageDirectory {
  /// Puts a new version of a small file in place so that after a crash either the old or the new one is
  /// there, whole: write aside, sync the file, rename, sync the directory. Nothing else in this project may
  /// do these four steps.
  public func replaceFile(_ name: String, with bytes: [UInt8]) throws(IOError) {
    let aside = name + Self.asideSuffix
    if try contains(aside) { try removeFile(aside) }
    let file = try openFile(aside, .createNew)
    var failure: IOError?
    bytes.withUnsafeBytes { buffer in
      do throws(IOError) {
        try file.write(buffer, at: 0)
        try file.sync()
      } catch { failure = error }
    }
    if let failure { throw failure }
    try rename(aside, to: name)
    try sync()
  }

  /// Files with this suffix were left by a crash between two of the four steps and may be removed.
  public static var asideSuffix: String { ".new" }

  /// The whole of a small file. More than `limitBytes` is refused before anything is reserved.
  public func readFile(_ name: String, limitBytes: Int) throws(IOError) -> [UInt8] {
    let file = try openFile(name, .read)
    let size = try file.currentSizeBytes()
    guard size <= Int64(limitBytes) else {
      throw IOError(
        .limit, "read", path: file.path, detail: "\(size) bytes, at most \(limitBytes) are allowed")
    }
    var bytes = [UInt8](repeating: 0, count: Int(size))
    var failure: IOError?
    bytes.withUnsafeMutableBytes { buffer in
      do throws(IOError) { try file.read(into: buffer, at: 0) } catch { failure = error }
    }
    if let failure { throw failure }
    return bytes
  }
}
