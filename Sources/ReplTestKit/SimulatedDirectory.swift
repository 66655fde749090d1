import Glibc
import ReplIO
import ReplModel

/// A directory of a simulated disk.
final class SimulatedDirectory: StorageDirectory {
  let path: String
  private let machine: SimulatedMachine
  private let node: Int
  private let disk: String

  init(machine: SimulatedMachine, node: Int, path: String, disk: String) {
    self.machine = machine
    self.node = node
    self.path = path
    self.disk = disk
  }

  func openFile(_ name: String, _ access: FileAccess) throws(IOError) -> any StorageFile {
    if case .read = access, name.utf8.contains(UInt8(ascii: "/")) { return try openBeneath(name) }
    try checkName(name)
    let full = "\(path)/\(name)"
    let found = try lookUp(name)
    switch access {
    case .read, .readWrite:
      guard let found else { throw IOError(.system(ENOENT), "open", path: full) }
      return try file(found, full)
    case .createNew:
      guard found == nil else { throw IOError(.system(EEXIST), "open", path: full) }
    case .createIfMissing:
      if let found { return try file(found, full) }
    }
    let made = try machine.perform(.create(directory: node, name: name), path: full)
    return SimulatedFile(machine: machine, node: made, path: full)
  }

  func openDirectory(_ name: String) throws(IOError) -> any StorageDirectory {
    try checkName(name)
    let full = "\(path)/\(name)"
    guard let found = try lookUp(name) else { throw IOError(.system(ENOENT), "open", path: full) }
    let isDirectory = try machine.look("open", path: full) { state in
      if case .directory? = state.nodes[found] { true } else { false }
    }
    guard isDirectory else { throw IOError(.system(ENOTDIR), "open", path: full) }
    return SimulatedDirectory(machine: machine, node: found, path: full, disk: disk)
  }

  func createDirectory(_ name: String) throws(IOError) -> any StorageDirectory {
    try checkName(name)
    if try lookUp(name) != nil { return try openDirectory(name) }
    let full = "\(path)/\(name)"
    let made = try machine.perform(.createDirectory(directory: node, name: name), path: full)
    return SimulatedDirectory(machine: machine, node: made, path: full, disk: disk)
  }

  func contains(_ name: String) throws(IOError) -> Bool {
    try checkName(name)
    return try lookUp(name) != nil
  }

  func entryNames() throws(IOError) -> [String] {
    try machine.look("list", path: path) { $0.directory(node).visible.keys.sorted() }
  }

  func rename(_ from: String, to: String) throws(IOError) {
    try checkName(from)
    try checkName(to)
    try machine.perform(.rename(directory: node, from: from, to: to), path: "\(path)/\(from)")
  }

  func removeFile(_ name: String) throws(IOError) {
    try checkName(name)
    try machine.perform(.remove(directory: node, name: name), path: "\(path)/\(name)")
  }

  func sync() throws(IOError) {
    try machine.perform(.syncDirectory(directory: node), path: path)
  }

  func freeBytes() throws(IOError) -> Int64 {
    try machine.look("query free space", path: path) { $0.freeBytes(disk: disk) }
  }

  func tryLock(_ name: String) throws(IOError) -> FileLock? {
    _ = try openFile(name, .createIfMissing)
    guard let found = try lookUp(name) else { throw IOError(.system(ENOENT), "lock", path: path) }
    guard machine.state.withLock({ $0.locked.insert(found).inserted }) else { return nil }
    let machine = self.machine
    return FileLock { machine.state.withLock { _ = $0.locked.remove(found) } }
  }

  private func lookUp(_ name: String) throws(IOError) -> Int? {
    try machine.look("look up", path: "\(path)/\(name)") { $0.directory(node).visible[name] }
  }

  private func file(_ number: Int, _ full: String) throws(IOError) -> SimulatedFile {
    let isFile = try machine.look("open", path: full) { state in
      if case .file? = state.nodes[number] { true } else { false }
    }
    guard isFile else { throw IOError(.wrongFileType, "open", path: full) }
    return SimulatedFile(machine: machine, node: number, path: full)
  }

  private func openBeneath(_ relative: String) throws(IOError) -> any StorageFile {
    var components = relative.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
    let last = components.removeLast()
    var directory: any StorageDirectory = self
    for component in components { directory = try directory.openDirectory(component) }
    return try directory.openFile(last, .read)
  }

  private func checkName(_ name: String) throws(IOError) {
    guard FileName.isPlain(name) else { throw IOError(.refusedName, "open", path: "\(path)/\(name)") }
  }
}
