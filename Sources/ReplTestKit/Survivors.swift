/// Which of the changes that were not synced are on the medium after a power cut.
public enum Survivors: Sendable, CustomStringConvertible {
  case none
  case all
  /// Each write for itself lost, kept or torn at 512 bytes, in any order; of each directory's changes a
  /// prefix.
  case random(seed: UInt64)

  var seed: UInt64 { if case .random(let seed) = self { seed } else { 0 } }

  public var description: String {
    switch self {
    case .none: "none"
    case .all: "all"
    case .random(let seed): "random(seed: \(seed))"
    }
  }
}

/// One operation that a crash can cut: everything that changes a medium or makes a change durable.
public enum OperationKind: String, Sendable, CaseIterable {
  case create, createDirectory, write, writeZeros, truncate, sync, syncDirectory, rename, remove
}

/// What goes wrong, and when. Operations are counted from 1 over all disks of a machine.
public struct FaultPlan: Sendable {
  /// What goes wrong.
  public enum Fault: Sendable {
    /// This operation and everything after it fails: the program is dead and sees only errors. What it leaves
    /// is for `SimulatedMachine.restart` to say.
    case powerCut
    /// EIO, once. A failed sync forgets the changes that it should have made durable; a second one succeeds.
    case ioErrorOnce
    /// ENOSPC, once.
    case outOfSpaceOnce
    /// ENOSPC for everything that could need space, from here until the plan is taken away.
    case outOfSpace
  }

  public let fault: Fault
  public let operation: Int

  public init(_ fault: Fault, atOperation operation: Int) {
    self.fault = fault
    self.operation = operation
  }
}
