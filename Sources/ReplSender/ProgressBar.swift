import Glibc
import ReplModel
import ReplService

/// One line on standard error that shows how far a pass is; redrawn in place on a terminal, a line a tenth
/// elsewhere.
struct ProgressBar {
  private static let width = 30

  private let isTerminal = Terminal.isInteractive
  private var lastTenth = -1
  private var lastPhase = ""

  mutating func show(_ name: String, _ running: VMStatus.Running) {
    let total = max(running.totalBytes, 1)
    let share = max(0, min(1, Double(running.doneBytes) / Double(total)))
    let tenth = Int(share * 10)
    if !isTerminal {
      guard tenth != lastTenth || running.phase != lastPhase else { return }
      (lastTenth, lastPhase) = (tenth, running.phase)
    }
    let filled = Int(share * Double(Self.width))
    let bar = String(repeating: "#", count: filled) + String(repeating: ".", count: Self.width - filled)
    let amounts =
      "\(AmountText.size(bytes: running.doneBytes)) of \(AmountText.size(bytes: running.totalBytes))"
    let line =
      "\(SafeText.printable(name, limit: 40)) [\(bar)] \(Int(share * 100))%  \(running.phase)  \(amounts), "
      + "\(AmountText.size(bytes: running.wireBytes)) sent"
    Terminal.complain(isTerminal ? "\r\u{1B}[2K\(line)" : "\(line)\n")
  }

  /// Removes the line, so that the result stands in its place.
  func clear() { if isTerminal { Terminal.complain("\r\u{1B}[2K") } }
}
