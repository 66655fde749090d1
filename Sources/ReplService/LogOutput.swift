import Glibc
import Logging
import ReplIO
import Synchronization

/// Where log lines go, and from which level on: standard error, a line at a time.
///
/// Under systemd a line begins with its syslog priority (`<6>`, see sd-daemon(3)) and journald adds the time;
/// elsewhere it begins with the time.
public final class LogOutput: Sendable {
  /// What stands before the level.
  public enum Prefix: Sendable {
    case journalPriority, timestamp
  }

  private let prefix: Prefix
  private let time: any TimeSource
  private let minimum: Mutex<Logger.Level>
  private let write: Mutex<@Sendable (String) -> Void>

  /// `write` gets whole lines with their line feed, one at a time.
  public init(
    prefix: Prefix, level: Logger.Level, time: any TimeSource = SystemTime(),
    write: @escaping @Sendable (String) -> Void
  ) {
    self.prefix = prefix
    self.time = time
    minimum = Mutex(level)
    self.write = Mutex(write)
  }

  /// Standard error, with the prefix that its reader wants.
  public static func standardError(level: Logger.Level) -> LogOutput {
    LogOutput(prefix: isJournal() ? .journalPriority : .timestamp, level: level, write: writeToStandardError)
  }

  /// The level from which on lines are written; may be changed at any time.
  public var level: Logger.Level {
    get { minimum.withLock { $0 } }
    set { minimum.withLock { $0 = newValue } }
  }

  /// Makes every `Logger` of the process write here. Once in a process, at its start.
  public func bootstrap() {
    LoggingSystem.bootstrap { _ in LineLogHandler(output: self) }
  }

  /// A logger that writes here, without changing the process.
  public func logger(label: String) -> Logger {
    Logger(label: label) { _ in LineLogHandler(output: self) }
  }

  func append(level: Logger.Level, message: String, fields: [(key: String, value: String)]) {
    let text = LogLine.text(level: level, message: message, fields: fields)
    let line =
      switch prefix {
      case .journalPriority: "<\(Self.priority(level))>\(text)\n"
      case .timestamp: "\(time.wallTime()) \(text)\n"
      }
    write.withLock { $0(line) }
  }

  /// syslog(3): 2 critical, 3 error, 4 warning, 5 notice, 6 info, 7 debug.
  private static func priority(_ level: Logger.Level) -> Int {
    switch level {
    case .trace, .debug: 7
    case .info: 6
    case .notice: 5
    case .warning: 4
    case .error: 3
    case .critical: 2
    }
  }

  /// JOURNAL_STREAM names device and inode of the stream that journald gave us; it stays set when somebody
  /// redirects standard error, so both are compared (systemd.exec(5)).
  private static func isJournal() -> Bool {
    guard let stream = getenv("JOURNAL_STREAM") else { return false }
    var status = stat()
    guard fstat(STDERR_FILENO, &status) == 0 else { return false }
    return String(cString: stream) == "\(status.st_dev):\(status.st_ino)"
  }

  private static let writeToStandardError: @Sendable (String) -> Void = { line in
    var bytes = Array(line.utf8)[...]
    while !bytes.isEmpty {
      let count = bytes.withUnsafeBytes { Glibc.write(STDERR_FILENO, $0.baseAddress, $0.count) }
      if count > 0 {
        bytes = bytes.dropFirst(count)
      } else if count < 0, errno != EINTR {
        // There is nowhere left to say that the log is gone.
        return
      }
    }
  }
}

/// Turns swift-log's events into lines. The event's message is the event's name.
struct LineLogHandler: LogHandler {
  let output: LogOutput
  var metadata: Logger.Metadata = [:]
  var metadataProvider: Logger.MetadataProvider?
  /// Set on one logger only, it overrides the output's level.
  private var ownLevel: Logger.Level?

  init(output: LogOutput) { self.output = output }

  var logLevel: Logger.Level {
    get { ownLevel ?? output.level }
    set { ownLevel = newValue }
  }

  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  func log(event: LogEvent) {
    var fields = metadata
    fields.merge(metadataProvider?.get() ?? [:]) { $1 }
    fields.merge(event.metadata ?? [:]) { $1 }
    if let error = event.error { fields["error"] = "\(error)" }
    // Sorted: the same event looks the same every time.
    let sorted = fields.sorted { $0.key < $1.key }.map { (key: $0.key, value: "\($0.value)") }
    output.append(level: event.level, message: event.message.description, fields: sorted)
  }
}
