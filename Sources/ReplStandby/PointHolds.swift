import FoundationEssentials
import ReplIO
import ReplModel

/// What keeps points from being dropped besides the policy: pins, which last, and holds of whoever reads a
/// point now.
struct PointHolds {
  /// What the operator said.
  struct Pin: Sendable, Hashable, Codable {
    let at: WallTime
    let reason: String
  }

  private static let pinSuffix = ".pin"
  private static let holdSuffix = ".hold"
  private static let lockName = "retention"
  static let lockWaitSeconds: Double = 30
  static let reasonBytes = 1024

  /// `.repl/points`.
  let points: any StorageDirectory

  /// Held while it is decided which points go, and while a pin or hold comes about: a point never gets one
  /// and goes at the same time.
  func lock() throws(StandbyError) -> FileLock {
    try StandbyStore.acquire(Self.lockName, in: points, waitSeconds: Self.lockWaitSeconds)
  }

  /// Pinned points with what was said.
  func pins() throws(StandbyError) -> [PointReference: Pin] {
    var pins: [PointReference: Pin] = [:]
    for name in try storing({ () throws(IOError) in try points.entryNames() }) {
      guard let reference = Self.reference(name, Self.pinSuffix) else { continue }
      let bytes = try storing { () throws(IOError) in try points.readFile(name, limitBytes: 4096) }
      // A pin that cannot be read is still a pin.
      pins[reference] = RecordJSON.decode(bytes) ?? Pin(at: WallTime(millisecondsSince1970: 0), reason: "")
    }
    return pins
  }

  /// Points that somebody reads now. A hold whose reader ended is taken away. Call with the lock.
  func held() throws(StandbyError) -> Set<PointReference> {
    var held: Set<PointReference> = []
    for name in try storing({ () throws(IOError) in try points.entryNames() }) {
      guard let reference = Self.reference(name, Self.holdSuffix) else { continue }
      try storing { () throws(IOError) in
        if try points.tryLock(name) == nil {
          held.insert(reference)
        } else {
          try points.removeFile(name)
        }
      }
    }
    return held
  }

  /// Durable. Call with the lock.
  func pin(_ reference: PointReference, _ pin: Pin) throws(StandbyError) {
    let bytes = try RecordJSON.encode(pin)
    try storing { () throws(IOError) in
      try points.replaceFile("\(reference)\(Self.pinSuffix)", with: bytes)
    }
  }

  /// Durable. Nothing when there is none. Call with the lock.
  func unpin(_ reference: PointReference) throws(StandbyError) {
    try storing { () throws(IOError) in
      let name = "\(reference)\(Self.pinSuffix)"
      if try points.contains(name) { try points.removeFile(name) }
      try points.sync()
    }
  }

  /// Keeps a point while the answer lives; nil while another reader has it. Call with the lock, and do not
  /// wait with it: a commit may need it.
  func hold(_ reference: PointReference) throws(StandbyError) -> FileLock? {
    try storing { () throws(IOError) in try points.tryLock("\(reference)\(Self.holdSuffix)") }
  }

  /// Waits until nobody reads a point, without the lock: by then it may be gone, or another may have it.
  func waitForReader(of reference: PointReference, until deadline: Deadline) throws(StandbyError) {
    _ = try StandbyStore.acquire(
      "\(reference)\(Self.holdSuffix)", in: points,
      waitSeconds: Double(deadline.remainingMilliseconds) / 1000)
  }

  /// Pins of points that are gone, with whoever they were for.
  func forget(allBut kept: Set<PointReference>) throws(StandbyError) {
    try storing { () throws(IOError) in
      for name in try points.entryNames() {
        guard let reference = Self.reference(name, Self.pinSuffix), !kept.contains(reference) else {
          continue
        }
        try points.removeFile(name)
      }
    }
  }

  private static func reference(_ name: String, _ suffix: String) -> PointReference? {
    name.hasSuffix(suffix) ? PointReference(String(name.dropLast(suffix.count))) : nil
  }
}
