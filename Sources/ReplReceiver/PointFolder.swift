import FoundationEssentials
import ReplIO
import ReplModel
import ReplService
import ReplStandby

/// A folder that holds the disks of one recovery point, made by `points mount`. A file in it says so, and
/// whether it is complete: nothing else is ever removed.
struct PointFolder {
  struct Mark: Codable {
    let vm: VMID
    let point: PointReference
    let madeAt: WallTime
    /// Everything is there.
    var isComplete: Bool
  }

  private static let markName = ".repl-mount"
  private static let subfolder = "points"

  let directory: PosixDirectory
  private let parent: PosixDirectory
  private let name: String

  /// The folder of a point: `path` where one is given, else one beside the standby's disks. Made where it is
  /// missing, unless it is about to be removed.
  init(_ point: PointReference, of standby: String, at path: String?, isMade: Bool = true) throws {
    if let path {
      let url = URL(filePath: path)
      guard path.hasPrefix("/") || !path.isEmpty, !url.lastPathComponent.isEmpty else {
        throw Failure.exit(.usage, "\(SafeText.printable(path)) is no folder's name")
      }
      parent = try PosixDirectory(path: url.deletingLastPathComponent().path)
      name = url.lastPathComponent
    } else {
      parent = try Self.folder(Self.subfolder, in: try PosixDirectory(path: standby), isMade: isMade)
      name = "\(point)"
    }
    directory = try Self.folder(name, in: parent, isMade: isMade)
  }

  private static func folder(
    _ name: String, in parent: PosixDirectory, isMade: Bool
  ) throws -> PosixDirectory {
    do throws(IOError) {
      let found = try isMade ? parent.createDirectory(name) : parent.openDirectory(name)
      guard let found = found as? PosixDirectory else {
        preconditionFailure("directories of the system are such")
      }
      return found
    } catch {
      guard !isMade, error.isMissing else { throw error }
      throw Failure.exit(
        .usage, "\(parent.path)/\(name) is not there: no point is mounted in it (mount --to named another?)")
    }
  }

  var mark: Mark? {
    get throws {
      guard try directory.contains(Self.markName) else { return nil }
      let bytes = try directory.readFile(Self.markName, limitBytes: 4096)
      do { return try JSONDecoder().decode(Mark.self, from: Data(bytes)) } catch {
        throw IOError(.damaged, "read", path: "\(directory.path)/\(Self.markName)", detail: "\(error)")
      }
    }
  }

  /// Empties what a broken-off mount has left and marks the folder; one with anything else in it is refused.
  func begin(_ vm: VMID, _ point: PointReference) throws {
    if let mark = try mark {
      guard !mark.isComplete else {
        throw Failure.exit(
          .refused,
          "\(directory.path) holds recovery point \(mark.point) already: use it, or unmount it first")
      }
      try removeFiles()
    }
    guard try directory.entryNames().isEmpty else {
      throw Failure.exit(.refused, "\(directory.path) is not empty: name another folder with --to")
    }
    try write(Mark(vm: vm, point: point, madeAt: SystemTime().wallTime(), isComplete: false))
  }

  /// Everything is there: protects the files and says so.
  func finish(_ files: [String]) throws {
    for file in files { try directory.openPosixFile(file, .read).makeReadOnly() }
    guard var mark = try mark else { return }
    mark.isComplete = true
    try write(mark)
  }

  /// Removes the folder with all that is in it; only one that `begin` has marked, or one with nothing in it:
  /// what a removal leaves that was cut off behind the mark.
  func remove() throws {
    if try mark != nil {
      try removeFiles()
      try directory.removeFile(Self.markName)
    } else if try !directory.entryNames().isEmpty {
      throw Failure.exit(.refused, "\(directory.path) was not made by points mount: it is not removed")
    }
    try parent.removeDirectory(name)
    try parent.sync()
  }

  private func removeFiles() throws {
    for name in try directory.entryNames() where name != Self.markName { try directory.removeFile(name) }
  }

  private func write(_ mark: Mark) throws {
    try directory.replaceFile(Self.markName, with: Array(try JSONEncoder().encode(mark)))
  }
}
