import ReplModel

/// Why a VMX is not accepted: what was found, what was expected, the next step.
public struct VMXError: ActionableError, Hashable {
  /// The closed set of reasons.
  public enum Code: Hashable, Sendable, CaseIterable {
    // The text.
    case tooLarge, tooManyLines
    // The VM.
    case suspended, encrypted
    // One of its disks.
    case notABoolean, unknownSlot, unknownDeviceType, missingFileName, nonpersistentDisk, sharedDisk,
      sharedBus
    case unsafeName
    // What the caller of the stub gave.
    case badStandbyName
  }

  public let code: Code
  /// The disk it is about, when it is about one.
  public let slot: DiskSlot?
  /// For people.
  public let detail: String

  init(_ code: Code, slot: DiskSlot? = nil, _ detail: String) {
    self.code = code
    self.slot = slot
    self.detail = detail
  }

  public var description: String { slot.map { "\($0): \(detail)" } ?? detail }

  /// A suspended VM is resumed sooner or later without us; the rest needs a change of the VM or of the
  /// config.
  public var remedy: Remedy { code == .suspended ? .abandonPass : .stopVM }
}
