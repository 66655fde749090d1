import Glibc

/// A queue between threads that holds at most `capacity` elements. Blocks: for threads of our own, never for
/// tasks.
///
/// Shutdown: `close` lets consumers drain what is queued; `cancel` drops it. After either, `push` answers
/// false.
public final class BoundedQueue<Element: Sendable>: @unchecked Sendable {
  // SAFETY: every access to the mutable state is between lock and unlock of `mutex`.
  private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private let changed = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
  private let capacity: Int
  private var elements: [Element?] = []
  private var head = 0
  private var isClosed = false
  private var pushWaits = Waits()
  private var popWaits = Waits()

  public init(capacity: Int) {
    precondition(capacity > 0, "a queue holds at least one element")
    self.capacity = capacity
    pthread_mutex_init(mutex, nil)
    changed.initializeMonotonic()
  }

  deinit {
    pthread_cond_destroy(changed)
    pthread_mutex_destroy(mutex)
    changed.deallocate()
    mutex.deallocate()
  }

  private var count: Int { elements.count - head }

  /// Waits for room. False when the queue was closed: the element was not taken.
  @discardableResult public func push(_ element: Element) -> Bool {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    if count >= capacity && !isClosed {
      let began = pushWaits.begin()
      while count >= capacity && !isClosed { pthread_cond_wait(changed, mutex) }
      pushWaits.end(began)
    }
    guard !isClosed else { return false }
    elements.append(element)
    pthread_cond_broadcast(changed)
    return true
  }

  /// Waits for an element. Nil when the queue is closed and empty.
  public func pop() -> Element? {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    if count == 0 && !isClosed {
      let began = popWaits.begin()
      while count == 0 && !isClosed { pthread_cond_wait(changed, mutex) }
      popWaits.end(began)
    }
    return removeFirst()
  }

  /// Waits for an element, or for the end, for `seconds` at most; true when `pop` would answer at once.
  public func waitForElement(seconds: Double) -> Bool {
    var end = timespec.monotonic(secondsFromNow: seconds)
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    guard count == 0 && !isClosed else { return true }
    let began = popWaits.begin()
    defer { popWaits.end(began) }
    while count == 0 && !isClosed {
      if pthread_cond_timedwait(changed, mutex, &end) == ETIMEDOUT { return count > 0 || isClosed }
    }
    return true
  }

  /// Waits that are over, and those that go on.
  private struct Waits {
    var nanoseconds: Int64 = 0
    var waiting: Int64 = 0
    var sumOfStarts: Int64 = 0

    mutating func begin() -> Int64 {
      let now = SystemTime().monotonicNanoseconds()
      waiting += 1
      sumOfStarts += now
      return now
    }

    mutating func end(_ began: Int64) {
      waiting -= 1
      sumOfStarts -= began
      nanoseconds += SystemTime().monotonicNanoseconds() - began
    }

    func total(until now: Int64) -> Int64 { nanoseconds + waiting * now - sumOfStarts }
  }

  /// How long all threads together have waited for room and for elements until now, nanoseconds. The clock
  /// is read only where somebody waits.
  public var waitedNanoseconds: (push: Int64, pop: Int64) {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    let now = SystemTime().monotonicNanoseconds()
    return (pushWaits.total(until: now), popWaits.total(until: now))
  }

  /// Takes nothing more; what is queued can still be had.
  public func close() { end(dropping: false) }
  /// Takes nothing more and drops what is queued.
  public func cancel() { end(dropping: true) }

  private func end(dropping: Bool) {
    pthread_mutex_lock(mutex)
    isClosed = true
    if dropping {
      elements.removeAll()
      head = 0
    }
    pthread_cond_broadcast(changed)
    pthread_mutex_unlock(mutex)
  }

  private func removeFirst() -> Element? {
    guard count > 0 else { return nil }
    let element = elements[head]
    elements[head] = nil
    head += 1
    if head == elements.count {
      elements.removeAll(keepingCapacity: true)
      head = 0
    } else if head >= 64 {
      elements.removeFirst(head)
      head = 0
    }
    pthread_cond_broadcast(changed)
    return element
  }
}
