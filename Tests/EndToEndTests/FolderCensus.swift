import Foundation
import Glibc
import Testing

/// Everything that lies beneath a folder, to prove later that it was not touched.
struct FolderCensus: Equatable {
  struct Entry: Equatable {
    let inode: UInt64
    let modifiedSeconds: Int
    let modifiedNanoseconds: Int
    let mode: UInt32
    let content: Data?
  }

  private(set) var entries: [String: Entry] = [:]

  /// `skip` answers true for what the operator's own scripts or we ourselves put there.
  init(of folder: String, skip: (String) -> Bool = { _ in false }) throws {
    let all = try #require(FileManager.default.enumerator(atPath: folder))
    for case let name as String in all where !skip(name) {
      let path = "\(folder)/\(name)"
      var status = stat()
      guard lstat(path, &status) == 0 else { throw ToolFailure(text: "\(path): errno \(errno)") }
      let isFile = status.st_mode & S_IFMT == S_IFREG
      entries[name] = Entry(
        inode: UInt64(status.st_ino), modifiedSeconds: isFile ? status.st_mtim.tv_sec : 0,
        modifiedNanoseconds: isFile ? status.st_mtim.tv_nsec : 0, mode: status.st_mode,
        content: isFile ? try Data(contentsOf: URL(fileURLWithPath: path)) : nil)
    }
  }

  /// The names that are not in both, or differ.
  func differences(from other: FolderCensus) -> [String] {
    Set(entries.keys).union(other.entries.keys).filter { entries[$0] != other.entries[$0] }.sorted()
  }

  /// The same, but inode and time may differ: for files that others write anew with the same content.
  func contentDifferences(from other: FolderCensus) -> [String] {
    Set(entries.keys).union(other.entries.keys).filter {
      entries[$0]?.content != other.entries[$0]?.content || (entries[$0] == nil) != (other.entries[$0] == nil)
    }.sorted()
  }
}
