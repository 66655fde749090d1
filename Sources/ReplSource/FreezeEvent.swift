import ReplModel

/// Something that happened during a freeze, for the log.
public struct FreezeEvent: Sendable, Hashable {
  /// How loud it is; `error` means that a person is needed.
  public enum Level: String, Sendable {
    case info, warning, error
  }

  public let level: Level
  /// The step of a command; nil for what we did ourselves.
  public let stage: FreezeStage?
  /// A sentence, printable.
  public let text: String

  public init(_ level: Level, _ text: String) { self.init(level, nil, text) }

  public init(_ level: Level, _ stage: FreezeStage?, _ text: String) {
    self.level = level
    self.stage = stage
    self.text = text
  }
}

/// How long a freeze held.
public struct FreezeHold: Sendable, Hashable {
  /// From the first hook or command until everything was released, seconds.
  public let heldSeconds: Double
  /// From the start of the pre-freeze hook to the end of the post-thaw hook; nil without hooks.
  public let guestHeldSeconds: Double?

  public init(heldSeconds: Double, guestHeldSeconds: Double?) {
    self.heldSeconds = heldSeconds
    self.guestHeldSeconds = guestHeldSeconds
  }
}

/// Something that a freeze left behind, and what became of it.
public struct LeftoverReport: Sendable, Hashable {
  public let vmxPath: String
  public let tag: String
  /// Whether nothing of it is left.
  public let isRemoved: Bool
  /// A sentence: what it is, where, and the next step when it is still there.
  public let text: String

  public init(vmxPath: String, tag: String, isRemoved: Bool, text: String) {
    self.vmxPath = vmxPath
    self.tag = tag
    self.isRemoved = isRemoved
    self.text = text
  }
}
