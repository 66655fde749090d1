/// Where a disk is attached: `scsi0:0`, `sata1:3`, `nvme0:0`, `ide1:1`.
///
/// A closed grammar, so that a slot from a peer is safe as part of a file name.
public struct DiskSlot: Hashable, Sendable {
  /// The kinds of controllers that hard disks hang on.
  public enum Bus: String, Sendable, CaseIterable {
    case scsi, sata, nvme, ide

    /// Highest controller number and highest unit, by VMware's limits.
    var limits: (controller: Int, unit: Int) {
      switch self {
      case .scsi: (3, 63)
      case .sata: (3, 29)
      case .nvme: (3, 63)
      case .ide: (1, 1)
      }
    }
  }

  public let bus: Bus
  public let controller: Int
  public let unit: Int

  public init?(bus: Bus, controller: Int, unit: Int) {
    guard (0...bus.limits.controller).contains(controller), (0...bus.limits.unit).contains(unit) else {
      return nil
    }
    self.bus = bus
    self.controller = controller
    self.unit = unit
  }

  /// Reads `scsi0:0`; the bus name in any case.
  public init?(_ text: some StringProtocol) {
    let lowered = text.lowercased()
    guard let bus = Bus.allCases.first(where: { lowered.hasPrefix($0.rawValue) }) else { return nil }
    let numbers = lowered.dropFirst(bus.rawValue.count).split(
      separator: ":", omittingEmptySubsequences: false)
    guard numbers.count == 2, let controller = Self.number(numbers[0]), let unit = Self.number(numbers[1])
    else {
      return nil
    }
    self.init(bus: bus, controller: controller, unit: unit)
  }

  private static func number(_ digits: Substring) -> Int? {
    guard (1...2).contains(digits.utf8.count), digits.utf8.allSatisfy({ $0 >= 48 && $0 <= 57 }) else {
      return nil
    }
    return Int(digits)
  }

  /// `scsi0-0`: the stem of the standby disk's file names.
  public var fileStem: String { "\(bus.rawValue)\(controller)-\(unit)" }
}

extension DiskSlot: CustomStringConvertible {
  public var description: String { "\(bus.rawValue)\(controller):\(unit)" }
}

extension DiskSlot: Comparable {
  public static func < (left: Self, right: Self) -> Bool {
    (left.bus.rawValue, left.controller, left.unit) < (right.bus.rawValue, right.controller, right.unit)
  }
}

extension DiskSlot: Codable {
  public init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    guard let value = DiskSlot(try container.decode(String.self)) else {
      throw DecodingError.dataCorruptedError(
        in: container, debugDescription: "not a disk slot such as scsi0:0")
    }
    self = value
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(description)
  }
}
