import Logging
import ReplIO
import ReplModel
import Synchronization
import Testing

@testable import ReplService

/// Log lines: one event, one line, nothing from outside can make it two.
@Suite("Logging")
struct LogTests {
  private struct FixedTime: TimeSource {
    func monotonicNanoseconds() -> Int64 { 0 }
    func wallTime() -> WallTime { WallTime(millisecondsSince1970: 0) }
  }

  private final class Lines: Sendable {
    let all = Mutex<[String]>([])
    var text: [String] { all.withLock { $0 } }
  }

  private func output(
    _ prefix: LogOutput.Prefix, _ level: Logger.Level = .info
  ) -> (output: LogOutput, lines: Lines) {
    let lines = Lines()
    let output = LogOutput(prefix: prefix, level: level, time: FixedTime()) { line in
      lines.all.withLock { $0.append(line) }
    }
    return (output, lines)
  }

  @Test("an event is a line of level, name and sorted fields")
  func lineFormat() {
    let (output, lines) = output(.timestamp)
    output.logger(label: "x").info("pass.committed", metadata: ["vm": "web01", "pass": "p 1", "bytes": "42"])
    #expect(lines.text == ["1970-01-01T00:00:00.000Z info pass.committed bytes=42 pass=\"p 1\" vm=web01\n"])
  }

  @Test(
    "under systemd a line begins with its priority",
    arguments: [
      (Logger.Level.trace, 7), (.debug, 7), (.info, 6), (.notice, 5), (.warning, 4), (.error, 3),
      (.critical, 2),
    ])
  func journalPriority(level: Logger.Level, priority: Int) {
    let (output, lines) = output(.journalPriority, .trace)
    output.logger(label: "x").log(level: level, "config-loaded")
    #expect(lines.text == ["<\(priority)>\(level.rawValue) config-loaded\n"])
  }

  @Test("the level can be changed while loggers live, and overridden on one of them")
  func levels() {
    let (output, lines) = output(.journalPriority, .warning)
    var own = output.logger(label: "x")
    let other = output.logger(label: "y")
    own.logLevel = .trace
    own.debug("a")
    other.info("b")
    output.level = .info
    other.info("c")
    #expect(lines.text == ["<7>debug a\n", "<6>info c\n"])
  }

  @Test(
    "no value ends its line or its quotes",
    arguments: [
      ("plain", "plain"), ("", "\"\""), ("two words", "\"two words\""), ("a=b", "\"a=b\""),
      ("line\n<0>kernel: oops", "\"line\\n<0>kernel: oops\""), ("cr\rtab\t", "\"cr\\rtab\\t\""),
      ("quote\" level=error", "\"quote\\\" level=error\""), ("back\\slash", "\"back\\\\slash\""),
      ("\u{1B}[31mred", "\"\\u{1b}[31mred\""), ("\u{202E}abc", "\"\\u{202e}abc\""),
      ("\u{85}\u{2028}", "\"\\u{85}\\u{2028}\""),
      ("zero\u{200B}width\u{FEFF}", "\"zero\\u{200b}width\\u{feff}\""), ("nul\0", "\"nul\\u{0}\""),
      ("größe", "größe"),
    ])
  func valuesAreEscaped(value: String, expected: String) {
    #expect(LogLine.value(value) == expected)
  }

  @Test("a value is cut at 1024 characters, a line at 16 KiB")
  func lengthsAreLimited() {
    #expect(LogLine.value(String(repeating: "x", count: 5000)) == String(repeating: "x", count: 1024) + "…")
    let fields = (0..<100).map { (key: "k\($0)", value: String(repeating: "ä", count: 1000)) }
    let line = LogLine.text(level: .info, message: "e", fields: fields)
    #expect(line.utf8.count <= (16 << 10) + 6)
    #expect(line.hasSuffix("…"))
  }

  @Test("a library's sentence becomes a value, so that the second word is always an event name")
  func sentences() {
    let (output, lines) = output(.journalPriority)
    output.logger(label: "x").info("Shutting down\nnow", metadata: ["bad key\n": "1"])
    #expect(lines.text == ["<6>info message text=\"Shutting down\\nnow\" bad_key_=1\n"])
  }

  @Test("metadata of the event wins over the logger's, and nested values stay one value")
  func metadataIsMerged() {
    let (output, lines) = output(.journalPriority)
    var logger = output.logger(label: "x")
    logger[metadataKey: "vm"] = "old"
    logger[metadataKey: "peer"] = "a"
    logger.info("e", metadata: ["vm": "new", "list": ["x", "y"]])
    #expect(lines.text == ["<6>info e list=\"[\\\"x\\\", \\\"y\\\"]\" peer=a vm=new\n"])
  }

  @Test("whatever is logged, it is one line of printable text", arguments: 0..<3)
  func anythingIsOneLine(_ round: Int) {
    let seed = UInt64.random(in: 0 ... .max)
    print("seed \(seed), round \(round)")
    var state = seed
    for _ in 0..<300 {
      var scalars = String.UnicodeScalarView()
      for _ in 0..<20 {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        // Mostly the low planes, where the control characters are.
        if let scalar = Unicode.Scalar(UInt32(truncatingIfNeeded: state >> 40) % 0x2100) {
          scalars.append(scalar)
        }
      }
      let line = LogLine.text(
        level: .info, message: String(scalars), fields: [(String(scalars), String(scalars))])
      #expect(SafeText.printable(line, limit: 100_000) == line)
      let lineCount = line.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline).count
      #expect(lineCount == 1)
    }
  }
}
