/// Where a file of a disk is: a root that names may not leave, and the way beneath it.
public struct DiskFileName: Hashable, Sendable {
  /// Absolute path of the root, without `.`, `..` and double slashes.
  public let directory: String
  /// Beneath the root, of one or more components, without `.` and `..`.
  public let name: String
  /// The bytes on disk where they are not the UTF-8 of `name`: a name in the descriptor's own encoding.
  public let rawName: [UInt8]?

  public init(directory: String, name: String) {
    self.init(directory: directory, name: name, rawName: nil)
  }

  init(directory: String, name: String, rawName: [UInt8]?) {
    self.directory = directory
    self.name = name
    self.rawName = rawName
  }

  /// The absolute path.
  public var path: String { directory == "/" ? "/" + name : "\(directory)/\(name)" }
}
