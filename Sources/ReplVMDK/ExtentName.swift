import ReplModel

/// Rules for names that lead from a VM's folder to a file in it.
enum ExtentName {
  /// The path beneath the VM's folder of `name`, which stands in the descriptor at `descriptorPath`.
  ///
  /// The kernel's beneath lookup is what keeps a name inside; this refuses by name, with a sentence, before
  /// that.
  static func resolve(
    _ name: String, besides descriptorPath: String, line: Int
  ) throws(VMDKError) -> String {
    try check(name, reportedIn: descriptorPath, .line(line))
    let folder = descriptorPath.utf8.lastIndex(of: UInt8(ascii: "/")).map { descriptorPath[...$0] } ?? ""
    return folder + name
  }

  /// Refuses what is absolute, leaves the folder, or is no name at all.
  static func check(_ name: String, reportedIn path: String, _ place: VMDKError.Place?) throws(VMDKError) {
    let shown = SafeText.printable(name, limit: 128)
    guard !name.isEmpty, name.utf8.count <= Limits.extentNameBytes,
      name.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F })
    else {
      throw VMDKError(
        .unsafeName, path, place,
        "the file name \"\(shown)\" is empty, too long or holds control characters: rename the file")
    }
    // Workstation on Windows writes backslashes, so they separate here too.
    let components = name.split(omittingEmptySubsequences: false) { $0 == "/" || $0 == "\\" }
    let isAbsolute = components[0].isEmpty || components[0].hasSuffix(":")
    guard !isAbsolute, !components.contains("..") else {
      throw VMDKError(
        .nameLeavesFolder, path, place,
        "the file name \"\(shown)\" leaves the VM's folder, which is refused: move the file into the folder")
    }
  }
}
