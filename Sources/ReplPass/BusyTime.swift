import ReplIO

/// How long a side has worked on what it received, rather than waited for it. One thread's.
struct BusyTime {
  private let time: any TimeSource
  private let began: Int64
  private var waited: Int64 = 0

  init(time: any TimeSource) {
    self.time = time
    began = time.monotonicNanoseconds()
  }

  /// Until now, since the beginning.
  var milliseconds: Int64 { max(0, time.monotonicNanoseconds() - began - waited) / 1_000_000 }

  /// `since` is when the waiting that is over now began.
  mutating func noteWait(since: Int64) { waited += time.monotonicNanoseconds() - since }
}
