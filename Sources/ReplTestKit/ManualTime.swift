import ReplIO
import ReplModel
import Synchronization

/// A clock that stands still until the test moves it.
public final class ManualTime: TimeSource {
  private let nanoseconds: Atomic<Int64>
  private let wallStart: WallTime

  /// Starts at `wall`; the monotonic clock starts at 1 s, so that 0 can stand for "never".
  public init(wall: WallTime = WallTime(millisecondsSince1970: 1_800_000_000_000)) {
    nanoseconds = Atomic(1_000_000_000)
    wallStart = wall
  }

  public func monotonicNanoseconds() -> Int64 { nanoseconds.load(ordering: .sequentiallyConsistent) }

  public func wallTime() -> WallTime {
    let passed = monotonicNanoseconds() - 1_000_000_000
    return WallTime(millisecondsSince1970: wallStart.millisecondsSince1970 + passed / 1_000_000)
  }

  /// Moves both clocks on.
  public func advance(seconds: Double) {
    nanoseconds.add(Int64(seconds * 1e9), ordering: .sequentiallyConsistent)
  }
}
