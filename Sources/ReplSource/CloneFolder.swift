import Glibc
import ReplIO
import ReplModel
import ReplVMDK

/// A folder that holds files of a VM, and the directory of clones that a freeze makes in it.
struct CloneFolder {
  let parent: PosixDirectory
  let tag: FreezeTag

  /// Opens the folder; never through a symbolic link beneath `root`.
  init(_ place: FreezeRecord.CloneFolder, _ tag: FreezeTag) throws(IOError) {
    self.tag = tag
    var directory = try PosixDirectory(path: place.root)
    for name in place.name.split(separator: "/") {
      guard let next = try directory.openDirectory(String(name)) as? PosixDirectory else {
        throw IOError(.wrongFileType, "open", path: "\(directory.path)/\(name)")
      }
      directory = next
    }
    parent = directory
  }

  /// The directory of a file of the view.
  static func place(of file: DiskFileName) -> (root: String, name: String) {
    (file.directory, file.name.split(separator: "/").dropLast().joined(separator: "/"))
  }

  var path: String { "\(parent.path)/\(tag.directoryName)" }

  /// Makes the directory, which must not be there.
  func create() throws(IOError) -> PosixDirectory {
    guard try !parent.contains(tag.directoryName) else {
      throw IOError(.system(EEXIST), "make directory", path: path)
    }
    guard let made = try parent.createDirectory(tag.directoryName) as? PosixDirectory else {
      throw IOError(.wrongFileType, "open", path: path)
    }
    return made
  }

  /// Removes the clones and, when nothing else lies there, the directory.
  /// - Returns: the names of files that are not ours.
  func remove() throws(IOError) -> [String] {
    guard try parent.contains(tag.directoryName) else { return [] }
    guard let directory = try parent.openDirectory(tag.directoryName) as? PosixDirectory else { return [] }
    let foreign = try removeClones(in: directory)
    if foreign.isEmpty { try parent.removeDirectory(tag.directoryName) }
    return foreign
  }

  /// - Returns: the names of files that are not ours.
  func removeClones(in directory: PosixDirectory) throws(IOError) -> [String] {
    var foreign: [String] = []
    for name in try directory.entryNames() {
      if tag.names(clone: name) { try directory.removeFile(name) } else { foreign.append(name) }
    }
    return foreign
  }
}
