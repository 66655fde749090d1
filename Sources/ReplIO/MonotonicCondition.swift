import Glibc

extension UnsafeMutablePointer<pthread_cond_t> {
  /// Begins a condition whose timed waits go by the monotonic clock: a step of civil time must not end or
  /// stretch a wait.
  func initializeMonotonic() {
    var attributes = pthread_condattr_t()
    pthread_condattr_init(&attributes)
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
    pthread_cond_init(self, &attributes)
    pthread_condattr_destroy(&attributes)
  }
}

extension timespec {
  /// The moment so many seconds from now on that clock; from 0 to 1e9.
  static func monotonic(secondsFromNow seconds: Double) -> timespec {
    var end = timespec()
    clock_gettime(CLOCK_MONOTONIC, &end)
    let nanoseconds = Int64(end.tv_nsec) + Int64(min(max(seconds, 0), 1e9) * 1e9)
    end.tv_sec += Int(nanoseconds / 1_000_000_000)
    end.tv_nsec = Int(nanoseconds % 1_000_000_000)
    return end
  }
}
