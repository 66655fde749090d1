import Glibc
import ReplIO

/// Commands of a freeze that outlived the process that started them: known by their environment.
///
/// A pre-freeze hook that is still at work must not freeze the guest after the post-thaw hook has run.
enum StrayCommand {
  private static let waitSeconds = 30.0
  private static let graceSeconds = 2.0
  /// Without `take`, which may have started what serves the mount; that ends with the release.
  private static let stages: Set<FreezeStage> = [.preFreeze, .create, .postThaw, .remove]
  private static let environmentLimitBytes = 1 << 20

  /// Waits for those that carry `tag`, and ends those that go on for too long.
  /// - Parameter taking: whether a `take` is not known to have ended: what it makes after the release would
  ///   stay.
  static func settle(tag: String, taking: Bool) {
    let stages = taking ? Self.stages.union([.take]) : Self.stages
    let patience = Deadline(seconds: waitSeconds)
    while !processes(tag: tag, stages).isEmpty, !patience.hasPassed { Pause.milliseconds(50) }
    end(tag: tag, stages)
  }

  /// Ends those that carry `tag` and `stage` at once.
  static func end(tag: String, stage: FreezeStage) { end(tag: tag, [stage]) }

  private static func end(tag: String, _ stages: Set<FreezeStage>) {
    var left = processes(tag: tag, stages)
    for (signal, seconds) in [(SIGTERM, graceSeconds), (SIGKILL, graceSeconds)] where !left.isEmpty {
      for process in left { kill(process, signal) }
      let end = Deadline(seconds: seconds)
      while !left.isEmpty, !end.hasPassed {
        Pause.milliseconds(50)
        left = processes(tag: tag, stages)
      }
    }
  }

  private static func processes(tag: String, _ stages: Set<FreezeStage>) -> [pid_t] {
    // Without /proc nothing can be known of other processes.
    guard let proc = try? PosixDirectory(path: "/proc"), let names = try? proc.entryNames() else { return [] }
    return names.compactMap { pid_t($0) }.filter { isOfFreeze($0, tag: tag, stages) }
  }

  private static func isOfFreeze(_ process: pid_t, tag: String, _ stages: Set<FreezeStage>) -> Bool {
    // A process that ended meanwhile, or belongs to somebody else, is none of ours.
    let file = open("/proc/\(process)/environ", O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return false }
    defer { close(file) }
    var bytes = [UInt8](repeating: 0, count: 16 << 10)
    var text: [UInt8] = []
    while text.count < environmentLimitBytes {
      let count = read(file, &bytes, bytes.count)
      guard count > 0 else { break }
      text += bytes[0..<count]
    }
    let variables = Set(text.split(separator: 0).map { String(decoding: $0, as: UTF8.self) })
    return variables.contains("VMREPL_TAG=\(tag)")
      && stages.contains { variables.contains("VMREPL_STAGE=\($0.rawValue)") }
  }
}
