import Glibc
import ReplModel
import Synchronization

/// Looks at folder after folder, or file after file, and does not let one that hangs keep it from the others:
/// it goes on without it, and says since when it has not answered. Such a one is not looked at again until it
/// has answered after all.
public final class PatientScan: Sendable {
  /// What one look brought.
  public enum Answer<Value: Sendable>: Sendable {
    case found(Value)
    case silent(since: WallTime)
  }

  private let time: any TimeSource
  private let patienceSeconds: Double
  private let hangingLimit: Int
  private let hanging = Mutex<[String: WallTime]>([:])

  /// What answers later than `patienceSeconds` is slow enough to be left out of one look. Each that hangs
  /// holds a thread until it answers: when as many as `hangingLimit` of one look do, all of it that comes
  /// after counts as hanging.
  public init(time: any TimeSource, patienceSeconds: Double = 1, hangingLimit: Int = 8) {
    self.time = time
    self.patienceSeconds = patienceSeconds
    self.hangingLimit = hangingLimit
  }

  /// The answers in the order of the names. One at a time; `look` may never return.
  public func run<Value: Sendable>(
    _ names: [String], _ look: @escaping @Sendable (String) -> Value
  ) -> [Answer<Value>] {
    let course = Course<Value>(names: names)
    startLooker(course, number: 0, look)
    while course.isOver.wait(seconds: 0.1, { $0 ? true : nil }) == nil { giveUpWaiting(course, look) }
    let answers = course.progress.withLock { $0.answers }
    return names.indices.map { index in
      answers[index].map(Answer.found)
        ?? .silent(since: hanging.withLock { $0[names[index]] } ?? time.wallTime())
    }
  }

  /// Whether so many of them are known to hang that a look at the others is of no use.
  public func isSilent(_ names: [String]) -> Bool {
    hanging.withLock { hanging in names.count { hanging[$0] != nil } } >= hangingLimit
  }

  /// One look at all of them. Whoever waits for its end is woken at its end, not after every folder.
  private final class Course<Value: Sendable>: Sendable {
    let names: [String]
    let progress: Mutex<Progress<Value>>
    let isOver = Monitor(false)

    init(names: [String]) {
      self.names = names
      progress = Mutex(Progress(answers: Array(repeating: nil, count: names.count)))
    }
  }

  private struct Progress<Value: Sendable> {
    var answers: [Value?]
    var next = 0
    var current: (index: Int, until: Deadline)?
    /// Whose turn it is: a looker that hung and comes back finds another number here, and ends.
    var looker = 0
  }

  private func startLooker<Value>(
    _ course: Course<Value>, number: Int, _ look: @escaping @Sendable (String) -> Value
  ) {
    // Why there is none does not matter here.
    let thread = try? NamedThread.tryStart("look") { [self] in
      while let index = take(course, number) {
        let name = course.names[index]
        let answer = look(name)
        let isMine = course.progress.withLock { progress in
          guard progress.looker == number else { return false }
          progress.answers[index] = answer
          progress.current = nil
          return true
        }
        if isMine { continue }
        // Late, and nobody waits for it any more: but it answers again.
        hanging.withLock { _ = $0.removeValue(forKey: name) }
        return
      }
    }
    // Without a thread nothing more is looked into: those that are left are told as silent.
    guard let thread else { return course.isOver.withLock { $0 = true } }
    thread.detach()
  }

  private func take<Value>(_ course: Course<Value>, _ number: Int) -> Int? {
    let hung = hanging.withLock { $0 }
    let (index, isOver) = course.progress.withLock { progress -> (Int?, Bool) in
      guard progress.looker == number else { return (nil, false) }
      while progress.next < course.names.count, hung[course.names[progress.next]] != nil {
        progress.next += 1
      }
      guard progress.next < course.names.count else { return (nil, true) }
      defer { progress.next += 1 }
      progress.current = (progress.next, Deadline(seconds: patienceSeconds))
      return (progress.next, false)
    }
    if isOver { course.isOver.withLock { $0 = true } }
    return index
  }

  /// When a folder has kept its looker for too long, another one goes on behind it.
  private func giveUpWaiting<Value>(
    _ course: Course<Value>, _ look: @escaping @Sendable (String) -> Value
  ) {
    let number = course.progress.withLock { progress -> Int? in
      guard let current = progress.current, current.until.hasPassed else { return nil }
      hanging.withLock { $0[course.names[current.index]] = time.wallTime() }
      progress.looker += 1
      progress.current = nil
      return progress.looker
    }
    guard let number else { return }
    if isSilent(course.names) {
      course.isOver.withLock { $0 = true }
    } else {
      startLooker(course, number: number, look)
    }
  }
}
