import FoundationEssentials
import ReplIO
import ReplModel
import ReplStandby

/// How far a failover is, durably beside the standby: one that was interrupted goes on at its step.
struct FailoverProgress: Codable {
  static let fileName = "failover.json"
  private static let limitBytes = 64 << 10

  enum Step: String, Codable, Comparable {
    /// Before the command ran; that it may have run already is said when failover goes on.
    case fenced, registering, registered, poweringOn, poweredOn

    private var order: Int {
      [.fenced, .registering, .registered, .poweringOn, .poweredOn].firstIndex(of: self)!
    }
    static func < (left: Step, right: Step) -> Bool { left.order < right.order }
  }

  var step: Step
  /// What the register command printed.
  var registeredID: String
  var startedAt: WallTime
  /// Whose files were placed; nil in what earlier versions wrote: then it is the promoted one.
  var point: PointReference?

  /// Whether the files of a point stand beside disks that hold it: from then on all of that is the VM's. Also
  /// where the catalog is older than the failover, and says nothing of it.
  func isPlaced(_ point: PointReference, in catalog: Catalog, isBetweenPoints: Bool) -> Bool {
    guard !isBetweenPoints, (catalog.held ?? catalog.newest?.reference) == point else { return false }
    return catalog.fence == nil || (self.point ?? catalog.fence?.point) == point
  }

  static func load(from directory: any StorageDirectory) throws(IOError) -> FailoverProgress? {
    guard try directory.contains(fileName) else { return nil }
    let bytes = try directory.readFile(fileName, limitBytes: limitBytes)
    do {
      return try JSONDecoder().decode(Self.self, from: Data(bytes))
    } catch {
      throw IOError(.damaged, "read", path: "\(directory.path)/\(fileName)", detail: "\(error)")
    }
  }

  func save(in directory: any StorageDirectory) throws(IOError) {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .prettyPrinted]
    let bytes: [UInt8]
    do { bytes = Array(try encoder.encode(self)) } catch {
      throw IOError(.damaged, "write", path: "\(directory.path)/\(Self.fileName)", detail: "\(error)")
    }
    try directory.replaceFile(Self.fileName, with: bytes)
  }
}
