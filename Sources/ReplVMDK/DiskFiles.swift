import Glibc
import ReplIO
import ReplModel

/// Opens the files of one image by the names that its descriptors give them.
final class DiskFiles {
  let names: DiskNames
  private let folder: PosixDirectory
  private let opening: DiskOpening
  private let pool = OpenFiles()
  private var roots: [String: PosixDirectory] = [:]
  private var known: [DiskFileName: DiskFile] = [:]

  init(folder: PosixDirectory, opening: DiskOpening) {
    self.folder = folder
    self.opening = opening
    names = DiskNames(folder: Self.absolute(folder.path), mappings: opening.mappings)
    roots[names.folder] = folder
  }

  private static func absolute(_ path: String) -> String {
    if path.hasPrefix("/") { return path }
    // A folder that was opened by a relative path: what that means is the working directory's affair.
    guard let current = getcwd(nil, 0) else { return "/" + path }
    defer { free(current) }
    return String(cString: current) + "/" + path
  }

  /// How messages call a place: beneath the VM's folder, or absolute.
  func shown(_ place: DiskFileName) -> String {
    place.directory == names.folder ? place.name : place.path
  }

  /// The same object for the same place.
  func open(_ place: DiskFileName) throws(IOError) -> DiskFile {
    if let file = known[place] { return file }
    let file = try DiskFile(source(of: place), at: place, path: shown(place), pool: pool)
    known[place] = file
    return file
  }

  private func source(of place: DiskFileName) throws(IOError) -> DiskFile.Source {
    if let substitute = try substitute(for: place) { return substitute }
    if let root = roots[place.directory] { return .beneath(root) }
    let root = try PosixDirectory(path: place.directory)
    roots[place.directory] = root
    return .beneath(root)
  }

  private func substitute(for place: DiskFileName) throws(IOError) -> DiskFile.Source? {
    guard let substitutes = opening.substitutes else { return nil }
    guard let file = substitutes[place] else {
      throw IOError(
        .system(ENOENT), "open", path: place.path, detail: "the frozen view has no such file")
    }
    return .fixed(file)
  }

  // MARK: Spellings

  /// The place as decoded, and with the bytes as they stand in the descriptor: Linux stores whatever bytes
  /// the writer of a name used.
  static func spellings(of place: DiskFileName, _ name: String, _ raw: [UInt8]?) -> [DiskFileName] {
    let last = PathText(place.name).components.last
    // Only a plain name: what else bytes of another character set would mean in a path is anybody's guess.
    guard let raw, last == name, !raw.contains(UInt8(ascii: "/")) else { return [place] }
    let directory = Array(place.name.utf8.dropLast(name.utf8.count))
    return [
      place, DiskFileName(directory: place.directory, name: place.name, rawName: directory + raw),
    ]
  }

  /// The file at the first of `places` that is there; nil when none is.
  /// - Throws: when two are there and differ.
  func first(
    of places: [DiskFileName], reportedIn path: String, _ line: VMDKError.Place?
  ) throws(VMDKError) -> DiskFile? {
    var found: DiskFile?
    for place in places {
      let file: DiskFile
      do throws(IOError) { file = try open(place) } catch {
        if error.isMissing { continue }
        throw VMDKError(opening: shown(place), reportedIn: path, line, error)
      }
      if let found, FileIdentity(found.status) != FileIdentity(file.status) {
        throw VMDKError(
          .ambiguousName, path, line,
          "\"\(SafeText.printable(shown(place)))\" is there twice, in two encodings of its name: remove the"
            + " one that is not part of the disk")
      }
      found = found ?? file
    }
    return found
  }

  // MARK: Devices

  func device(named name: String) -> DeviceMapping? { opening.devices.first { $0.name == name } }

  func open(_ device: DeviceMapping) throws(IOError) -> DiskFile {
    let path = PathText(device.path)
    let place = DiskFileName(directory: path.dropLast().text, name: path.components.last ?? "")
    if let file = known[place] { return file }
    let source = try substitute(for: place) ?? .device
    let file = try DiskFile(source, at: place, path: device.path, pool: pool)
    known[place] = file
    return file
  }
}
