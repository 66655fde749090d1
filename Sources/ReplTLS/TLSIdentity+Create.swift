import ReplIO
import ReplModel

extension TLSIdentity {
  /// Makes a P-256 key and a self-signed certificate for it in the directory `path`, which is made (0700)
  /// when missing; its parent must exist. Both files are durable when this returns.
  ///
  /// An identity that is there is never overwritten. A key without a certificate is what a crash in here
  /// leaves: it gets its certificate and nothing is lost.
  ///
  /// - Parameter name: for people, becomes the certificate's common name; peers in CA mode match it.
  public static func create(in path: String, name: String) throws(TLSError) -> TLSIdentity {
    let directory = try TLSError.onStorage { () throws(IOError) in try openOrMakeDirectory(path) }
    try FileOwnership.check(directory)
    let exists = try TLSError.onStorage { () throws(IOError) in try directory.contains(certificateFileName) }
    guard !exists else {
      throw TLSError(
        .identityExists,
        "\(path): there is an identity here already (\(certificateFileName)): it is kept; "
          + "to make a new one move the directory away, and tell every peer to pin the new fingerprint")
    }
    let key = try keyOnDisk(in: directory)
    let pem = try Certificate.selfSigned(key, name: name).pem()
    try TLSError.onStorage { () throws(IOError) in try directory.replaceFile(certificateFileName, with: pem) }
    // What the next start will find is what is answered.
    return try load(in: path)
  }

  private static func keyOnDisk(in directory: PosixDirectory) throws(TLSError) -> PrivateKey {
    let exists = try TLSError.onStorage { () throws(IOError) in try directory.contains(keyFileName) }
    if exists { return try loadKey(in: directory) }
    let key = try PrivateKey.generate()
    var pem = try key.pem()
    defer { MemoryBIO.wipe(&pem) }
    try TLSError.onStorage { () throws(IOError) in try directory.replaceFile(keyFileName, with: pem) }
    return key
  }

  private static func openOrMakeDirectory(_ path: String) throws(IOError) -> PosixDirectory {
    do throws(IOError) {
      return try PosixDirectory(path: path)
    } catch {
      guard error.isMissing else { throw error }
    }
    let (parentPath, name) = split(path)
    let parent = try PosixDirectory(path: parentPath)
    _ = try parent.createDirectory(name)
    try parent.sync()
    return try PosixDirectory(path: path)
  }

  private static func split(_ path: String) -> (parent: String, name: String) {
    var parts = path.split(separator: "/", omittingEmptySubsequences: true)
    guard let name = parts.popLast() else { return (".", path) }
    let parent = parts.joined(separator: "/")
    if path.hasPrefix("/") { return ("/" + parent, String(name)) }
    return (parent.isEmpty ? "." : parent, String(name))
  }
}
