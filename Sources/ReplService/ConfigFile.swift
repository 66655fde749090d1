import Glibc

/// Reads a configuration file: a regular file of limited size, nothing else.
enum ConfigFile {
  static func read(path: String) throws(ConfigError) -> [UInt8] {
    // Without O_NONBLOCK, opening a FIFO would wait for a writer for ever.
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { throw failure(path, "cannot be opened: \(systemMessage())") }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw failure(path, "cannot be read: \(systemMessage())") }
    guard status.st_mode & S_IFMT == S_IFREG else {
      throw failure(path, "is not a regular file; give the path of a YAML file")
    }
    return try readAll(descriptor, path: path)
  }

  /// One byte more than is allowed, so that a file that grows while it is read is noticed as well.
  private static func readAll(_ descriptor: Int32, path: String) throws(ConfigError) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: ServiceLimits.configBytes + 1)
    var filled = 0
    while filled < bytes.count {
      let count = bytes.withUnsafeMutableBytes { buffer in
        Glibc.read(descriptor, buffer.baseAddress! + filled, buffer.count - filled)
      }
      if count == 0 { break }
      if count > 0 {
        filled += count
      } else if errno != EINTR {
        throw failure(path, "cannot be read: \(systemMessage())")
      }
    }
    bytes.removeLast(bytes.count - filled)
    return bytes
  }

  private static func systemMessage() -> String { String(cString: strerror(errno)) }

  private static func failure(_ path: String, _ message: String) -> ConfigError {
    ConfigError(path: path, problems: [ConfigProblem(at: nil, message)])
  }
}
