/// A folder in which VMs are looked for, and which of them count.
public struct WatchedFolder: Sendable, Hashable {
  /// Absolute.
  public let path: String
  /// A VMX file counts when one of these matches its path beneath the folder, and none of `exclude`.
  public let include: [PathPattern]
  public let exclude: [PathPattern]

  public init(path: String, include: [PathPattern], exclude: [PathPattern]) {
    self.path = path
    self.include = include
    self.exclude = exclude
  }

  /// The path beneath the folder; nil for one that does not lie in it.
  public func relativePath(of path: String) -> String? {
    let start = self.path == "/" ? "/" : self.path + "/"
    guard path.hasPrefix(start), path.utf8.count > start.utf8.count else { return nil }
    return String(path.dropFirst(start.count))
  }

  /// Whether the patterns take the VMX file at this path beneath the folder.
  public func takes(_ relativePath: String) -> Bool {
    include.contains { $0.matches(relativePath) } && !exclude.contains { $0.matches(relativePath) }
  }

  /// As `takes`, for an absolute path; false where it does not lie in the folder.
  public func takes(absolutePath: String) -> Bool {
    relativePath(of: absolutePath).map { takes($0) } ?? false
  }
}
