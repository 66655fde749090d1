import Glibc
import ReplIO
import ReplModel
import ReplVMX

/// Looks for VMX files in a folder, in its folders and in theirs: `folder/web01/web01.vmx` and one level
/// deeper. Reads names and VMX files, never a disk.
///
/// No symbolic link is followed beneath the folder. Hidden folders are not entered: there lie the storage's
/// own things (`.snapshot`, `.zfs`, `.dvsEmulation`) and frozen clones. Templates (`.vmtx`) are no VMs.
public struct VMFinder: Sendable {
  /// What bounds the work on a folder that is no folder of VMs.
  public enum Limits {
    /// Folders beneath the watched one that a VMX may lie in.
    public static let depth = 2
    /// A datastore of 2,000 VMs of fifty files each.
    public static let entries = 100_000
    /// As many as a configuration may name.
    public static let vms = 10_000
    /// Problems that are reported one by one; nobody reads more.
    public static let problems = 20
  }

  /// What is beside disks in the folder of a VM, or a part of one: never a folder with VMs in it.
  private static let fileEndings = [
    ".vmdk", ".vmx", ".vmxf", ".vmsd", ".vmsn", ".vmss", ".vmem", ".vswp", ".nvram", ".log", ".lck",
    ".scoreboard",
    ".hlog", ".vmtx", ".iso", ".png",
  ]

  private let folder: WatchedFolder

  public init(_ folder: WatchedFolder) { self.folder = folder }

  /// Looks once.
  /// - Throws: when the folder itself cannot be read; what cannot be read beneath it is part of the answer.
  public func find() throws(SourceError) -> FolderContents {
    do throws(IOError) {
      return try find(in: try PosixDirectory(path: folder.path))
    } catch { throw .io(error) }
  }

  func find(in root: any StorageDirectory) throws(IOError) -> FolderContents {
    var walk = Walk()
    try visit(root, "", depth: 0, &walk)
    return FolderContents(
      vms: walk.vms.sorted { $0.relativePath < $1.relativePath }, problems: walk.problems,
      unread: walk.unread)
  }

  private struct Walk {
    var vms: [FoundVM] = []
    var problems: [String] = []
    var unread: [String] = []
    var entries = 0
    var isOver = false

    mutating func note(_ problem: String, at relativePath: String) {
      unread.append(relativePath)
      if problems.count < Limits.problems { problems.append(problem) }
    }

    /// Ends the walk; what was not seen counts as not read.
    mutating func end(_ problem: String) {
      guard !isOver else { return }
      isOver = true
      unread.append("")
      problems.append(problem)
    }
  }

  private func visit(
    _ directory: any StorageDirectory, _ relative: String, depth: Int, _ walk: inout Walk
  ) throws(IOError) {
    let names = try directory.entryNames()
    for name in names where !walk.isOver {
      walk.entries += 1
      guard walk.entries <= Limits.entries else {
        walk.end(
          "\(SafeText.printable(folder.path)): holds more than \(Limits.entries) files, the rest was not "
            + "looked at: watch the folders with VMs in them one by one")
        return
      }
      let path = relative.isEmpty ? name : "\(relative)/\(name)"
      if name.hasPrefix(".") || name == "lost+found" { continue }
      if name.lowercased().hasSuffix(".vmx") {
        take(directory, name, path, &walk)
      } else if depth < Limits.depth, !Self.fileEndings.contains(where: name.lowercased().hasSuffix) {
        enter(directory, name, path, depth: depth, &walk)
      }
    }
  }

  private func enter(
    _ directory: any StorageDirectory, _ name: String, _ path: String, depth: Int, _ walk: inout Walk
  ) {
    do throws(IOError) {
      let child = try directory.openDirectory(name)
      try visit(child, path, depth: depth + 1, &walk)
    } catch {
      // A file, a link, or a folder that went away meanwhile.
      if error.isNoDirectory || error.isMissing && isText(name) { return }
      walk.note("\(error): VMs in there are not seen", at: path)
    }
  }

  /// Bytes that are no UTF-8 were replaced when the name was read: no such file is found.
  private func isText(_ name: String) -> Bool { !name.unicodeScalars.contains("\u{FFFD}") }

  private func take(
    _ directory: any StorageDirectory, _ name: String, _ path: String, _ walk: inout Walk
  ) {
    do throws(IOError) { _ = try directory.openFile(name, .read) } catch {
      // A link or a folder of that name is no VM; whatever else is wrong, its identity will say.
      if error.isNoDirectory || error.kind == .wrongFileType { return }
      if error.isMissing {
        if !isText(name) { walk.note("\(error): its name is not UTF-8: rename it", at: path) }
        return
      }
    }
    guard walk.vms.count < Limits.vms else {
      walk.end(
        "\(SafeText.printable(folder.path)): holds more than \(Limits.vms) VMs, the rest was not looked at: "
          + "watch several folders instead")
      return
    }
    let full = folder.path == "/" ? "/\(path)" : "\(folder.path)/\(path)"
    walk.vms.append(FoundVM(vmxPath: full, relativePath: path, isExcluded: !folder.takes(path)))
  }
}

/// What a look into a folder brought.
public struct FolderContents: Sendable {
  /// Sorted by path; the excluded ones too.
  public let vms: [FoundVM]
  /// What could not be read, a sentence each; at most twenty.
  public let problems: [String]
  /// The places beneath the folder that could not be read; the empty text is the folder itself, in part.
  public let unread: [String]

  init(vms: [FoundVM], problems: [String], unread: [String]) {
    self.vms = vms
    self.problems = problems
    self.unread = unread
  }

  /// Whether the look would have shown this file if it were there: only then its absence says something.
  public func covers(_ relativePath: String) -> Bool {
    !unread.contains { $0.isEmpty || relativePath.hasPrefix($0 + "/") }
  }
}

/// A VMX file in a watched folder.
public struct FoundVM: Sendable, Hashable {
  /// Absolute.
  public let vmxPath: String
  /// Beneath the watched folder.
  public let relativePath: String
  /// Whether the patterns of the folder leave it out.
  public let isExcluded: Bool

  init(vmxPath: String, relativePath: String, isExcluded: Bool) {
    self.vmxPath = vmxPath
    self.relativePath = relativePath
    self.isExcluded = isExcluded
  }
}

extension IOError {
  /// Something is there, and it is no directory that may be entered.
  fileprivate var isNoDirectory: Bool { systemCode == ENOTDIR || systemCode == ELOOP }
}
