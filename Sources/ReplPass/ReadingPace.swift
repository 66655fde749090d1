import ReplIO
import ReplModel
import ReplProtocol

/// How far a side is that reads its disks for a proof, and when it tells the other.
struct ReadingPace {
  let totalBytes: Int64
  private(set) var doneBytes: Int64 = 0
  private var toldBytes: Int64 = 0
  private var next: Deadline
  private let time: any TimeSource

  init(totalBytes: Int64, time: any TimeSource) {
    self.totalBytes = totalBytes
    self.time = time
    next = Deadline(seconds: ProtocolTimeouts.readingPeriodSeconds, time: time)
  }

  /// Notes bytes that were read. Answers what to tell, when it is time to.
  mutating func advance(by bytes: Int) -> Reading? {
    doneBytes += Int64(bytes)
    guard next.hasPassed, doneBytes > toldBytes else { return nil }
    toldBytes = doneBytes
    next = Deadline(seconds: ProtocolTimeouts.readingPeriodSeconds, time: time)
    return Reading(doneBytes: doneBytes, totalBytes: totalBytes)
  }
}
