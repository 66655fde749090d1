import Glibc
import ReplModel

/// Where the time comes from; tests give their own.
public protocol TimeSource: Sendable {
  /// Nanoseconds of a clock that never jumps; for intervals and deadlines.
  func monotonicNanoseconds() -> Int64
  /// Civil time; for people and for lag.
  func wallTime() -> WallTime
}

/// The machine's clocks. CLOCK_BOOTTIME: a suspended machine's passes are due when it wakes.
public struct SystemTime: TimeSource {
  public init() {}

  public func monotonicNanoseconds() -> Int64 { read(CLOCK_BOOTTIME) }

  public func wallTime() -> WallTime { WallTime(millisecondsSince1970: read(CLOCK_REALTIME) / 1_000_000) }

  private func read(_ clock: clockid_t) -> Int64 {
    var time = timespec()
    clock_gettime(clock, &time)
    return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
  }
}

/// A moment by which something must be done, on the monotonic clock.
public struct Deadline: Sendable {
  private let nanoseconds: Int64
  private let time: any TimeSource

  public init(seconds: Double, time: any TimeSource = SystemTime()) {
    self.time = time
    nanoseconds = time.monotonicNanoseconds() + Int64(seconds * 1e9)
  }

  public var hasPassed: Bool { remainingMilliseconds == 0 }

  /// Rounded up, 0 when it has passed; fits `poll`.
  public var remainingMilliseconds: Int32 {
    let rest = nanoseconds - time.monotonicNanoseconds()
    return rest <= 0 ? 0 : Int32(clamping: (rest + 999_999) / 1_000_000)
  }
}
