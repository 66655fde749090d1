import Foundation
import ReplIO
import Testing

@testable import ReplSource

/// Looking for VMX files in real folders.
@Suite("Finding VMs")
struct VMFinderTests {
  /// A folder that is removed with the object.
  private final class Datastore {
    let path = FileManager.default.temporaryDirectory.appendingPathComponent("ds-\(UUID().uuidString)").path

    init(_ files: [String]) throws {
      try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
      for file in files { try add(file) }
    }

    // Best effort: a leftover in the temporary folder harms nobody.
    deinit { try? FileManager.default.removeItem(atPath: path) }

    func add(_ file: String) throws {
      let url = URL(fileURLWithPath: "\(path)/\(file)")
      try FileManager.default.createDirectory(
        at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
      try Data("x".utf8).write(to: url)
    }

    func find(include: [String] = ["*"], exclude: [String] = []) throws -> FolderContents {
      try VMFinder(
        WatchedFolder(
          path: path, include: include.map(PathPattern.init), exclude: exclude.map(PathPattern.init))
      ).find()
    }
  }

  @Test("VMX files are found in the folder, in its folders and in theirs, not deeper")
  func depth() throws {
    let store = try Datastore(["a.vmx", "b/b.VMX", "c/d/d.vmx", "e/f/g/g.vmx", "h/h.vmdk", "i/i.vmtx"])
    let contents = try store.find()
    #expect(contents.vms.map(\.relativePath) == ["a.vmx", "b/b.VMX", "c/d/d.vmx"])
    #expect(contents.vms[0].vmxPath == "\(store.path)/a.vmx")
    #expect(contents.problems.isEmpty && contents.unread.isEmpty)
  }

  @Test("hidden folders and files, lock folders and links are not followed")
  func hidden() throws {
    let store = try Datastore([
      ".vmrepl-1234abcd-5678ef00/a.vmx", ".snapshot/a/a.vmx", ".zfs/a.vmx", "a/.dvsEmulation/a.vmx",
      "a/a.vmx",
      "a/a.vmx.lck/b.vmx", "lost+found/c.vmx", ".hidden.vmx", "outside.txt",
    ])
    let other = try Datastore(["x/x.vmx"])
    let files = FileManager.default
    try files.createSymbolicLink(atPath: "\(store.path)/link", withDestinationPath: other.path)
    try files.createSymbolicLink(
      atPath: "\(store.path)/a/link.vmx", withDestinationPath: "\(other.path)/x/x.vmx")
    try files.createDirectory(atPath: "\(store.path)/folder.vmx", withIntermediateDirectories: true)
    #expect(try store.find().vms.map(\.relativePath) == ["a/a.vmx"])
  }

  @Test("patterns leave VMs out, and say which")
  func patterns() throws {
    let store = try Datastore(["web01/web01.vmx", "db01/db01.vmx", "templates/t/t.vmx"])
    let contents = try store.find(include: ["web*", "templates"], exclude: ["templates/*"])
    #expect(contents.vms.filter { !$0.isExcluded }.map(\.relativePath) == ["web01/web01.vmx"])
    #expect(contents.vms.count == 3)
  }

  @Test("a folder that cannot be read is an error; one beneath it is a problem, and says nothing of its VMs")
  func unreadable() throws {
    let store = try Datastore(["a/a.vmx", "b/b.vmx"])
    #expect(throws: SourceError.self) {
      try VMFinder(WatchedFolder(path: "\(store.path)/gone", include: [], exclude: [])).find()
    }
    let finder = VMFinder(WatchedFolder(path: store.path, include: [try PathPattern("*")], exclude: []))
    let contents = try finder.find(in: DeniedDirectory(try PosixDirectory(path: store.path), denied: "b"))
    #expect(contents.vms.map(\.relativePath) == ["a/a.vmx"])
    #expect(contents.unread == ["b"] && contents.problems.count == 1)
    #expect(contents.problems[0].contains("\(store.path)/b: open failed: Permission denied"))
    #expect(contents.covers("a/a.vmx") && !contents.covers("b/b.vmx") && contents.covers("bb/b.vmx"))
  }
}

/// A directory in which one folder may not be entered, as for a user who is not root.
private final class DeniedDirectory: StorageDirectory {
  private let base: any StorageDirectory
  private let denied: String

  init(_ base: any StorageDirectory, denied: String) {
    self.base = base
    self.denied = denied
  }

  var path: String { base.path }
  func entryNames() throws(IOError) -> [String] { try base.entryNames() }
  func openFile(_ name: String, _ access: FileAccess) throws(IOError) -> any StorageFile {
    try base.openFile(name, access)
  }
  func openDirectory(_ name: String) throws(IOError) -> any StorageDirectory {
    if name == denied { throw IOError(.system(EACCES), "open", path: "\(path)/\(name)") }
    return try base.openDirectory(name)
  }

  // The finder only looks.
  private func refuse() -> IOError { IOError(.system(EROFS), "write", path: path) }
  func createDirectory(_ name: String) throws(IOError) -> any StorageDirectory { throw refuse() }
  func contains(_ name: String) throws(IOError) -> Bool { try base.contains(name) }
  func rename(_ from: String, to: String) throws(IOError) { throw refuse() }
  func removeFile(_ name: String) throws(IOError) { throw refuse() }
  func sync() throws(IOError) { throw refuse() }
  func freeBytes() throws(IOError) -> Int64 { throw refuse() }
  func tryLock(_ name: String) throws(IOError) -> FileLock? { throw refuse() }
}
