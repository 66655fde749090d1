import ReplIO
import ReplService
import Synchronization

/// One line on standard error that says how far something long is; redrawn in place on a terminal, a line a
/// tenth elsewhere, and none for what is over at once.
final class StepProgress: Sendable {
  private struct State {
    var lastNanoseconds: Int64
    var lastTenth = -1
    var lastStep = ""
    var hasShown = false
  }

  /// Nothing is shown of what takes less than this.
  private static let quietNanoseconds: Int64 = 2_000_000_000
  private static let betweenNanoseconds: Int64 = 200_000_000

  private let isTerminal = Terminal.isInteractive
  private let state: Mutex<State>

  init() {
    let now = SystemTime().monotonicNanoseconds()
    state = Mutex(State(lastNanoseconds: now + Self.quietNanoseconds - Self.betweenNanoseconds))
  }

  /// Bytes of what the step has to do; cheap to call often.
  func show(_ step: String, done: Int64, total: Int64) {
    let now = SystemTime().monotonicNanoseconds()
    let share = total > 0 ? max(0, min(1, Double(done) / Double(total))) : 0
    let tenth = Int(share * 10)
    let isDue = state.withLock { state in
      guard now - state.lastNanoseconds >= Self.betweenNanoseconds else { return false }
      if !isTerminal && tenth == state.lastTenth && step == state.lastStep { return false }
      (state.lastNanoseconds, state.lastTenth, state.lastStep, state.hasShown) = (now, tenth, step, true)
      return true
    }
    guard isDue else { return }
    let amounts = "\(AmountText.size(bytes: done)) of \(AmountText.size(bytes: total))"
    let line = "\(step) \(Int(share * 100))%  \(amounts)"
    Terminal.complain(isTerminal ? "\r\u{1B}[2K\(line)" : "\(line)\n")
  }

  /// Removes the line, so that the result stands in its place.
  func clear() {
    if isTerminal && state.withLock({ $0.hasShown }) { Terminal.complain("\r\u{1B}[2K") }
  }
}
