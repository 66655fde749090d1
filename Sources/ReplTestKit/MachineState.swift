import Glibc
import ReplIO
import ReplModel

/// An operation with all it needs, so that it can be replayed on a copy of the state.
enum Operation: Sendable {
  case create(directory: Int, name: String)
  case createDirectory(directory: Int, name: String)
  case change(file: Int, FileChange)
  case sync(file: Int)
  case syncDirectory(directory: Int)
  case rename(directory: Int, from: String, to: String)
  case remove(directory: Int, name: String)

  var kind: OperationKind {
    switch self {
    case .create: .create
    case .createDirectory: .createDirectory
    case .change(_, .write): .write
    case .change(_, .zero): .writeZeros
    case .change(_, .truncate): .truncate
    case .sync: .sync
    case .syncDirectory: .syncDirectory
    case .rename: .rename
    case .remove: .remove
    }
  }
}

/// Everything a simulated machine knows; a value, so that a moment can be kept and played on in another way.
struct MachineState: Sendable {
  var nodes: [Int: SimulatedNode] = [:]
  var nextNode = 0
  var roots: [String: Int] = [:]
  var spaceLimits: [String: Int64] = [:]
  var operations = 0
  var plan: FaultPlan?
  var isDown = false
  var locked: Set<Int> = []

  mutating func add(_ node: SimulatedNode) -> Int {
    nextNode += 1
    nodes[nextNode] = node
    return nextNode
  }

  func directory(_ number: Int) -> DirectoryNode {
    guard case .directory(let node)? = nodes[number] else { preconditionFailure("not a directory") }
    return node
  }

  func file(_ number: Int) -> FileNode {
    guard case .file(let node)? = nodes[number] else { preconditionFailure("not a file") }
    return node
  }

  // MARK: - Changing

  /// Counts the operation and says what the plan wants of it: nil to go on, else errno.
  mutating func admit(_ operation: Operation) -> Int32? {
    if isDown { return EIO }
    operations += 1
    guard let plan, operations >= plan.operation else { return nil }
    switch plan.fault {
    case .powerCut:
      isDown = true
      return EIO
    case .ioErrorOnce: return operations == plan.operation ? EIO : nil
    case .outOfSpaceOnce: return operations == plan.operation && operation.kind != .remove ? ENOSPC : nil
    case .outOfSpace: return operation.kind != .remove && operation.kind != .syncDirectory ? ENOSPC : nil
    }
  }

  /// Carries out an operation; answers the node that it made, or 0. Throws errno.
  mutating func apply(_ operation: Operation) throws(Errno) -> Int {
    switch operation {
    case .create(let directory, let name):
      return try enter(.file(FileNode()), name, in: directory)
    case .createDirectory(let directory, let name):
      return try enter(.directory(DirectoryNode()), name, in: directory)
    case .change(let file, let change):
      try checkSpace(file, change)
      changeFile(file) { $0.change(change) }
    case .sync(let file):
      changeFile(file) { $0.sync() }
    case .syncDirectory(let directory):
      changeDirectory(directory) { $0.sync() }
    case .rename(let directory, let from, let to):
      guard let node = self.directory(directory).visible[from] else { throw Errno(ENOENT) }
      changeDirectory(directory) { $0.change(.rename(from: from, to: to, node: node)) }
    case .remove(let directory, let name):
      guard self.directory(directory).visible[name] != nil else { throw Errno(ENOENT) }
      changeDirectory(directory) { $0.change(.remove(name: name)) }
    }
    return 0
  }

  /// What a refused operation leaves: only a sync leaves anything.
  mutating func fail(_ operation: Operation) {
    if case .sync(let file) = operation { changeFile(file) { $0.failSync() } }
  }

  private mutating func enter(_ node: SimulatedNode, _ name: String, in directory: Int) throws(Errno) -> Int {
    guard self.directory(directory).visible[name] == nil else { throw Errno(EEXIST) }
    let number = add(node)
    changeDirectory(directory) { $0.change(.set(name: name, node: number)) }
    return number
  }

  private mutating func changeFile(_ number: Int, _ body: (inout FileNode) -> Void) {
    var node = file(number)
    // The dictionary gives up its copy, so that the content is changed in place.
    nodes[number] = nil
    body(&node)
    nodes[number] = .file(node)
  }

  private mutating func changeDirectory(_ number: Int, _ body: (inout DirectoryNode) -> Void) {
    var node = directory(number)
    nodes[number] = nil
    body(&node)
    nodes[number] = .directory(node)
  }

  // MARK: - Space

  private func checkSpace(_ number: Int, _ change: FileChange) throws(Errno) {
    guard !spaceLimits.isEmpty, case .write(let offset, let bytes) = change else { return }
    for (disk, limit) in spaceLimits {
      let reachable = reachableNodes(from: roots[disk]!) { $0.visible }
      guard reachable.contains(number) else { continue }
      let growth = file(number).visible.growth(offset: offset, count: bytes.count)
      if usedBytes(reachable) + growth > limit { throw Errno(ENOSPC) }
    }
  }

  func freeBytes(disk: String) -> Int64 {
    guard let limit = spaceLimits[disk] else { return 1 << 50 }
    return max(0, limit - usedBytes(reachableNodes(from: roots[disk]!) { $0.visible }))
  }

  private func usedBytes(_ numbers: Set<Int>) -> Int64 {
    numbers.reduce(0) { sum, number in
      if case .file(let node)? = nodes[number] { sum + node.visible.allocatedBytes } else { sum }
    }
  }

  private func reachableNodes(from root: Int, _ entries: (DirectoryNode) -> [String: Int]) -> Set<Int> {
    var found: Set<Int> = [root]
    var waiting = [root]
    while let number = waiting.popLast() {
      guard case .directory(let node)? = nodes[number] else { continue }
      for child in entries(node).values where found.insert(child).inserted { waiting.append(child) }
    }
    return found
  }

  // MARK: - Power cut

  /// The state after the power came back: locks are gone, and of what was not synced only the survivors are
  /// left.
  func restarted(_ survivors: Survivors) -> MachineState {
    var next = self
    var random = SeededRandom(seed: survivors.seed)
    for number in nodes.keys.sorted() {
      switch nodes[number] {
      case .file(var node)?:
        node.cutPower(survivors, &random)
        next.nodes[number] = .file(node)
      case .directory(var node)?:
        node.cutPower(survivors, &random)
        next.nodes[number] = .directory(node)
      case nil: break
      }
    }
    let reachable = roots.values.reduce(into: Set<Int>()) { all, root in
      all.formUnion(next.reachableNodes(from: root) { $0.durable })
    }
    next.nodes = next.nodes.filter { reachable.contains($0.key) }
    next.locked = []
    next.isDown = false
    next.plan = nil
    next.operations = 0
    return next
  }
}

/// An error number on its way to becoming an `IOError` with a path.
struct Errno: Error {
  let code: Int32
  init(_ code: Int32) { self.code = code }
}
