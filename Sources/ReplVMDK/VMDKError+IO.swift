import Glibc
import ReplIO
import ReplModel

extension VMDKError {
  /// A file that the descriptor names could not be opened.
  init(opening name: String, reportedIn path: String, _ place: Place?, _ cause: IOError) {
    let shown = SafeText.printable(name)
    switch cause.kind {
    case .system(ENOENT):
      let next =
        PathText.datastore(of: name).map {
          "path_map has no entry for \"\(SafeText.printable($0, limit: 64))\": add one, with the directory"
            + " that holds it here"
        } ?? "is the datastore complete?"
      self.init(.missingFile, path, place, "the file \"\(shown)\" is not there: \(next)", cause: cause)
    case .system(ELOOP):
      self.init(
        .symbolicLink, path, place,
        "\"\(shown)\" goes through a symbolic link, which is refused: use the real file",
        cause: cause)
    case .system(EXDEV), .refusedName:
      self.init(
        .nameLeavesFolder, path, place,
        "\"\(shown)\" leaves the VM's folder, which is refused: move the file into it",
        cause: cause)
    case .wrongFileType:
      self.init(
        .notARegularFile, path, place, "\"\(shown)\" is not a regular file: a disk is read from files only",
        cause: cause)
    default:
      self.init(.io, path, place, "\"\(shown)\" cannot be opened: \(cause)", cause: cause)
    }
  }

  /// A file that is open could not be read.
  init(reading path: String, _ cause: IOError) {
    self.init(.io, path, nil, "cannot be read: \(cause)", cause: cause)
  }
}
