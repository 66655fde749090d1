import Glibc
import ReplIO
import ReplModel
import ReplVMDK

/// A folder that holds files of a VM, and the directory of clones that a freeze makes in it.
struct CloneFolder {
  let parent: PosixDirectory
  let tag: FreezeTag

  init(_ place: FreezeRecord.CloneFolder, _ tag: FreezeTag) throws(IOError) {
    self.tag = tag
    parent = try Self.parent(place)
  }

  /// Opens the folder; never through a symbolic link beneath `root`.
  static func parent(_ place: FreezeRecord.CloneFolder) throws(IOError) -> PosixDirectory {
    var directory = try PosixDirectory(path: place.root)
    for name in place.name.split(separator: "/") {
      guard let next = try directory.openDirectory(String(name)) as? PosixDirectory else {
        throw IOError(.wrongFileType, "open", path: "\(directory.path)/\(name)")
      }
      directory = next
    }
    return directory
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

  /// Removes the clones and, when nothing else lies there, the directory. Durable when it returns: whoever
  /// strikes the folder out of a record then must not have to fear that a power cut brings it back.
  /// - Returns: the names of files that are not ours.
  func remove() throws(IOError) -> [String] {
    guard try parent.contains(tag.directoryName),
      let directory = try parent.openDirectory(tag.directoryName) as? PosixDirectory
    else {
      // It may have been removed a moment ago, by a process that was killed then.
      try parent.sync()
      return []
    }
    let foreign = try removeClones(in: directory)
    if foreign.isEmpty { try parent.removeDirectory(tag.directoryName) } else { try directory.sync() }
    try parent.sync()
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
