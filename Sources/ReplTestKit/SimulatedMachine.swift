import Glibc
import ReplIO
import ReplModel
import Synchronization

/// A machine with simulated disks that lose, tear and reorder whatever was not synced. Everything is in
/// memory, the operations of all disks are counted together, and the same seed gives the same outcome.
///
/// Two ways to test: `fault` makes the n-th operation fail while the program runs on; `watch` is called
/// before every operation with a `Moment` from which the machine after a power cut at just that operation can
/// be made, as often and in as many ways as wanted, while the program itself goes on untouched.
public final class SimulatedMachine: Sendable {
  let state: Mutex<MachineState>
  private let watcher = Mutex<(@Sendable (Moment) -> Void)?>(nil)

  /// A machine with empty disks of these names.
  public init(disks: [String]) {
    var state = MachineState()
    for disk in disks { state.roots[disk] = state.add(.directory(DirectoryNode())) }
    self.state = Mutex(state)
  }

  init(state: MachineState) { self.state = Mutex(state) }

  /// The root directory of a disk.
  public func disk(_ name: String) -> any StorageDirectory {
    guard let root = state.withLock({ $0.roots[name] }) else { preconditionFailure("no disk \(name)") }
    return SimulatedDirectory(machine: self, node: root, path: "/\(name)", disk: name)
  }

  /// Operations so far, refused ones included.
  public var operationCount: Int { state.withLock { $0.operations } }

  /// Replaces the plan; nil for a machine without faults.
  public func plan(_ plan: FaultPlan?) { state.withLock { $0.plan = plan } }

  /// How many bytes of file content the disk can hold; nil for no limit.
  public func limitSpace(of disk: String, toBytes limit: Int64?) {
    state.withLock { $0.spaceLimits[disk] = limit }
  }

  /// Calls `body` before every operation.
  public func watch(_ body: (@Sendable (Moment) -> Void)?) { watcher.withLock { $0 = body } }

  /// The machine after a power cut now. This one stays as it is.
  public func restart(_ survivors: Survivors) -> SimulatedMachine {
    SimulatedMachine(state: state.withLock { $0.restarted(survivors) })
  }

  /// The machine as it is now, caches included, but with nothing running: locks are gone, as after `kill -9`.
  public func kill() -> SimulatedMachine {
    var copy = state.withLock { $0 }
    copy.locked = []
    copy.isDown = false
    copy.plan = nil
    copy.operations = 0
    return SimulatedMachine(state: copy)
  }

  @discardableResult
  func perform(_ operation: Operation, path: String, offsetBytes: Int64? = nil) throws(IOError) -> Int {
    let (refusal, number) = state.withLock { state in (state.admit(operation), state.operations) }
    if let code = refusal {
      state.withLock { $0.fail(operation) }
      throw IOError(
        .system(code), operation.kind.rawValue, path: path, offsetBytes: offsetBytes,
        detail: "simulated, operation \(number)")
    }
    if let watching = watcher.withLock({ $0 }) {
      let before = state.withLock { $0 }
      watching(Moment(number: number, kind: operation.kind, path: path, before: before, operation: operation))
    }
    let result: Result<Int, Errno> = state.withLock { state in
      do throws(Errno) { return .success(try state.apply(operation)) } catch { return .failure(error) }
    }
    switch result {
    case .success(let node): return node
    case .failure(let error):
      throw IOError(.system(error.code), operation.kind.rawValue, path: path, offsetBytes: offsetBytes)
    }
  }

  /// For operations that change nothing: they fail only while the power is off.
  func look<Value: Sendable>(
    _ operation: String, path: String, _ body: (MachineState) -> Value
  ) throws(IOError) -> Value {
    let value: Value? = state.withLock { $0.isDown ? nil : body($0) }
    guard let value else { throw IOError(.system(EIO), operation, path: path, detail: "the power is off") }
    return value
  }
}

/// The machine just before one operation.
public struct Moment: Sendable, CustomStringConvertible {
  public let number: Int
  public let kind: OperationKind
  public let path: String
  let before: MachineState
  let operation: Operation

  /// The machine after a power cut in the middle of this operation: it counts as not synced, so the survivors
  /// say whether it happened, not at all, in part or wholly.
  public func restart(_ survivors: Survivors) -> SimulatedMachine {
    var state = before
    switch operation {
    case .sync, .syncDirectory: break
    default: _ = try? state.apply(operation)  // An operation that would have failed changes nothing.
    }
    return SimulatedMachine(state: state.restarted(survivors))
  }

  /// The machine just before this operation with the program killed: nothing unsynced is lost yet, locks are
  /// gone.
  public func kill() -> SimulatedMachine { SimulatedMachine(state: before).kill() }

  public var description: String { "operation \(number): \(kind.rawValue) \(path)" }
}
