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

  /// By bytes: Linux tells names apart that Unicode takes for the same text (a letter with its accent in one
  /// character or in two).
  public static func == (left: DiskFileName, right: DiskFileName) -> Bool {
    left.directory.utf8.elementsEqual(right.directory.utf8) && left.name.utf8.elementsEqual(right.name.utf8)
      && left.rawName == right.rawName
  }

  public func hash(into hasher: inout Hasher) {
    for byte in directory.utf8 { hasher.combine(byte) }
    hasher.combine(UInt8(0))
    for byte in name.utf8 { hasher.combine(byte) }
    hasher.combine(rawName)
  }

  /// The absolute path.
  public var path: String { directory == "/" ? "/" + name : "\(directory)/\(name)" }
}
