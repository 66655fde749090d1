import ReplIO
import ReplModel
import Synchronization

/// A directory some of whose entries hang: whoever opens them or looks them up waits until they are let go,
/// as on storage that does not answer.
final class GatedDirectory: StorageDirectory {
  /// Which names hang, and how many calls do now.
  final class Gate: Sendable {
    private let state = Monitor<(names: Set<String>, waiting: Int)>(([], 0))

    func shut(_ name: String) { state.withLock { _ = $0.names.insert(name) } }
    func open() { state.withLock { $0.names = [] } }
    var waiting: Int { state.withLock { $0.waiting } }

    func pass(_ name: String) {
      guard
        state.withLock({ state -> Bool in
          let isShut = state.names.contains(name)
          if isShut { state.waiting += 1 }
          return isShut
        })
      else { return }
      // No test waits so long; one that fails must still end.
      _ = state.wait(seconds: 120) { $0.names.contains(name) ? nil : true }
      state.withLock { $0.waiting -= 1 }
    }
  }

  private let base: any StorageDirectory
  private let gate: Gate
  var path: String { base.path }

  init(_ base: any StorageDirectory, gate: Gate) { (self.base, self.gate) = (base, gate) }

  func openFile(_ name: String, _ access: FileAccess) throws(IOError) -> any StorageFile {
    gate.pass(name)
    return try base.openFile(name, access)
  }

  func openDirectory(_ name: String) throws(IOError) -> any StorageDirectory {
    gate.pass(name)
    return try base.openDirectory(name)
  }

  func createDirectory(_ name: String) throws(IOError) -> any StorageDirectory {
    gate.pass(name)
    return try base.createDirectory(name)
  }

  func contains(_ name: String) throws(IOError) -> Bool {
    gate.pass(name)
    return try base.contains(name)
  }

  func entryNames() throws(IOError) -> [String] { try base.entryNames() }
  func rename(_ from: String, to: String) throws(IOError) { try base.rename(from, to: to) }
  func removeFile(_ name: String) throws(IOError) {
    gate.pass(name)
    try base.removeFile(name)
  }
  func sync() throws(IOError) { try base.sync() }
  func freeBytes() throws(IOError) -> Int64 { try base.freeBytes() }
  func tryLock(_ name: String) throws(IOError) -> FileLock? { try base.tryLock(name) }
}
