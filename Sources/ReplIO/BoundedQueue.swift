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

  public init(capacity: Int) {
    precondition(capacity > 0, "a queue holds at least one element")
    self.capacity = capacity
    pthread_mutex_init(mutex, nil)
    pthread_cond_init(changed, nil)
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
    while count >= capacity && !isClosed { pthread_cond_wait(changed, mutex) }
    guard !isClosed else { return false }
    elements.append(element)
    pthread_cond_broadcast(changed)
    return true
  }

  /// Waits for an element. Nil when the queue is closed and empty.
  public func pop() -> Element? {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    while count == 0 && !isClosed { pthread_cond_wait(changed, mutex) }
    return removeFirst()
  }

  /// An element if one is there now.
  public func tryPop() -> Element? {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    return removeFirst()
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
