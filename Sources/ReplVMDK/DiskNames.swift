import ReplModel

/// How a name in a descriptor or VMX becomes a place beneath an allowed root. Text only: nothing is opened.
///
/// The kernel's beneath lookup is what keeps a name inside; this refuses by name, with a sentence, before
/// that.
struct DiskNames: Sendable {
  /// Why a name leads nowhere.
  struct Refusal: Error {
    let code: VMDKError.Code
    let detail: String
  }

  /// The VM's folder, absolute, as a place has it.
  let folder: String
  let mappings: [PathMapping]
  /// Directories beneath which files may lie, the longest first.
  private let roots: [PathText]

  init(folder: String, mappings: [PathMapping]) {
    // The operator's own paths: where `..` passes through a link, only the name of the root differs.
    let all = ([folder] + mappings.map(\.directory)).map { PathText($0).resolved ?? PathText($0) }
    self.folder = all[0].text
    self.mappings = mappings
    roots = all.sorted { $0.components.count > $1.components.count }
  }

  /// The place of `name`, which stands in `file` (nil: it is the operator's or a VMX's).
  func place(of name: String, besides file: DiskFileName?) throws(Refusal) -> DiskFileName {
    try checkText(name)
    let text = PathText.slashed(name)
    if let mapped = try mapped(text) { return try contained(mapped, name) }
    if PathText.isAbsolute(text) {
      guard text.hasPrefix("/"), !text.hasPrefix("//"), let path = PathText(text).resolved,
        let place = rooted(path)
      else { throw absolute(name) }
      return place
    }
    let base = file.map { PathText($0.path).dropLast() } ?? PathText(folder)
    return try contained(base.appending(PathText(text)), name)
  }

  /// Where a parent may be, the likeliest first: as its hint says, else beside the child by its plain name.
  /// Never empty.
  func parentPlaces(of hint: String, besides child: DiskFileName) throws(Refusal) -> [DiskFileName] {
    try checkText(hint)
    var places: [DiskFileName] = []
    var refusal: Refusal?
    do throws(Refusal) { places.append(try place(of: hint, besides: child)) } catch { refusal = error }
    if let last = PathText(PathText.slashed(hint)).components.last, last != ".." {
      // Lost: only why the plain name leads nowhere either; the hint's own refusal stands.
      if let beside = try? place(of: last, besides: child), !places.contains(beside) { places.append(beside) }
    }
    if let refusal, places.isEmpty { throw refusal }
    return places
  }

  private func checkText(_ name: String) throws(Refusal) {
    guard !name.isEmpty, name.utf8.count <= Limits.extentNameBytes,
      name.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F })
    else {
      throw Refusal(
        code: .unsafeName,
        detail:
          "the file name \"\(Self.shown(name))\" is empty, too long or holds control characters: rename the"
          + " file")
    }
  }

  // MARK: Mappings

  /// Through the longest prefix that fits.
  private func mapped(_ text: String) throws(Refusal) -> PathText? {
    var best: (length: Int, path: PathText)?
    for mapping in mappings {
      guard let rest = PathText.rest(of: text, after: PathText.slashed(mapping.prefix)) else { continue }
      let length = mapping.prefix.utf8.count
      let path = PathText(mapping.directory).appending(PathText(rest))
      if let best, best.length > length { continue }
      if let best, best.length == length, best.path != path {
        throw Refusal(
          code: .ambiguousName,
          detail:
            "the prefix \"\(Self.shown(mapping.prefix))\" is mapped to two directories: keep one of them")
      }
      best = (length, path)
    }
    return best?.path
  }

  // MARK: Roots

  private func contained(_ path: PathText, _ name: String) throws(Refusal) -> DiskFileName {
    guard let resolved = path.resolved, let place = rooted(resolved) else {
      throw Refusal(
        code: .nameLeavesFolder,
        detail:
          "the file name \"\(Self.shown(name))\" leaves the VM's folder, which is refused: move the file into"
          + " the folder, or map the directory it is in")
    }
    return place
  }

  private func rooted(_ path: PathText) -> DiskFileName? {
    for root in roots where path.components.starts(with: root.components) {
      let rest = path.components.dropFirst(root.components.count)
      guard !rest.isEmpty else { return nil }
      return DiskFileName(directory: root.text, name: rest.joined(separator: "/"))
    }
    return nil
  }

  private func absolute(_ name: String) -> Refusal {
    Refusal(
      code: .nameLeavesFolder,
      detail:
        "the file name \"\(Self.shown(name))\" is a path of another system or leaves the VM's folder: map its"
        + " beginning (path_map) to the directory that holds it here")
  }

  private static func shown(_ name: String) -> String { SafeText.printable(name, limit: 128) }
}
