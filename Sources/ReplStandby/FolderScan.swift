import Glibc
import ReplIO
import ReplModel
import Synchronization

/// Looks into folder after folder, and does not let one that hangs keep it from the others: it goes on without
/// it, and says since when it has not answered. Such a folder is not looked into again until it has answered
/// after all.
final class FolderScan: Sendable {
  /// A folder that answers later than this is slow enough to be left out of one look.
  private static let patienceSeconds = 1.0
  /// Each folder that hangs holds a thread until it answers. When so many do, the whole store does.
  private static let hangingLimit = 8

  enum Answer<Value: Sendable>: Sendable {
    case found(Value)
    case silent(since: WallTime)
  }

  private let time: any TimeSource
  private let hanging = Mutex<[String: WallTime]>([:])

  init(time: any TimeSource) { self.time = time }

  /// The answers in the order of the names. One folder at a time; `look` may never return.
  func run<Value: Sendable>(
    _ names: [String], _ look: @escaping @Sendable (String) -> Value
  ) -> [Answer<Value>] {
    let progress = Monitor(Progress<Value>(names: names))
    startLooker(progress, number: 0, look)
    while true {
      let isOver = progress.wait(seconds: 0.1) { $0.isOver ? true : nil }
      if isOver != nil { break }
      giveUpWaiting(progress, look)
    }
    return progress.withLock { progress in
      names.indices.map { index in
        progress.answers[index].map(Answer.found)
          ?? .silent(since: hanging.withLock { $0[names[index]] } ?? time.wallTime())
      }
    }
  }

  private struct Progress<Value: Sendable> {
    let names: [String]
    var answers: [Value?]
    var next = 0
    var current: (index: Int, began: Deadline)?
    /// Whose turn it is: a looker that hung and comes back finds another number here, and ends.
    var looker = 0
    var isStopped = false

    init(names: [String]) {
      self.names = names
      answers = Array(repeating: nil, count: names.count)
    }

    var isOver: Bool { isStopped || next >= names.count && current == nil }
  }

  private func startLooker<Value>(
    _ progress: Monitor<Progress<Value>>, number: Int, _ look: @escaping @Sendable (String) -> Value
  ) {
    NamedThread.start("folders") { [self] in
      while let (index, name) = take(progress, number) {
        let answer = look(name)
        hanging.withLock { _ = $0.removeValue(forKey: name) }
        progress.withLock { progress in
          guard progress.looker == number else { return }
          progress.answers[index] = answer
          progress.current = nil
        }
      }
    }.detach()
  }

  private func take<Value>(_ progress: Monitor<Progress<Value>>, _ number: Int) -> (Int, String)? {
    let hung = hanging.withLock { $0 }
    return progress.withLock { progress in
      guard progress.looker == number, !progress.isStopped else { return nil }
      while progress.next < progress.names.count, hung[progress.names[progress.next]] != nil {
        progress.next += 1
      }
      guard progress.next < progress.names.count else { return nil }
      defer { progress.next += 1 }
      progress.current = (progress.next, Deadline(seconds: Self.patienceSeconds))
      return (progress.next, progress.names[progress.next])
    }
  }

  /// When a folder has kept its looker for too long, another one goes on behind it.
  private func giveUpWaiting<Value>(
    _ progress: Monitor<Progress<Value>>, _ look: @escaping @Sendable (String) -> Value
  ) {
    let number = progress.withLock { progress -> Int? in
      guard let current = progress.current, current.began.hasPassed else { return nil }
      let count = hanging.withLock { hanging in
        hanging[progress.names[current.index]] = time.wallTime()
        return hanging.count
      }
      progress.looker += 1
      progress.current = nil
      progress.isStopped = count >= Self.hangingLimit
      return progress.isStopped ? nil : progress.looker
    }
    if let number { startLooker(progress, number: number, look) }
  }
}
