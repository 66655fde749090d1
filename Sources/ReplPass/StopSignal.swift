import Synchronization

/// Says that the daemon is ending. Whoever blocks registers how to be woken; after `set` nothing new begins.
public final class StopSignal: Sendable {
  private struct State {
    var isSet = false
    var nextNumber = 0
    var wakers: [Int: @Sendable () -> Void] = [:]
  }

  private let state = Mutex(State())

  public init() {}

  public var isSet: Bool { state.withLock { $0.isSet } }

  /// Wakes everyone, once.
  public func set() {
    let wakers = state.withLock { state in
      state.isSet = true
      defer { state.wakers = [:] }
      return Array(state.wakers.values)
    }
    for wake in wakers { wake() }
  }

  /// Runs `body`; `wake` is called when the signal is set meanwhile, or at once when it is set already.
  public func whileWatching<Result, Failure: Error>(
    wake: @escaping @Sendable () -> Void, _ body: () throws(Failure) -> Result
  ) throws(Failure) -> Result {
    let number = state.withLock { state -> Int? in
      guard !state.isSet else { return nil }
      state.nextNumber += 1
      state.wakers[state.nextNumber] = wake
      return state.nextNumber
    }
    if number == nil { wake() }
    defer { if let number { state.withLock { _ = $0.wakers.removeValue(forKey: number) } } }
    return try body()
  }
}
