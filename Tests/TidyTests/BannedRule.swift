/// Calls and words that this project does not use, and what it uses instead.
struct BannedRule: Sendable {
  let name: String
  let advice: String
  /// Whether the rule is for this file at all.
  let applies: @Sendable (SourceFile) -> Bool
  /// Whether a line breaks it.
  let matches: @Sendable (SourceFile, Int) -> Bool

  struct Exception: Sendable {
    let rule: String
    let path: String
    /// Part of the line; empty for the whole file.
    let containing: String
    let reason: String
  }

  /// Precise exceptions with their reasons.
  static let exceptions = [
    Exception(
      rule: "fatal-error", path: "Sources/ReplDigest/SHA256Hasher.swift", containing: "",
      reason: "libcrypto fails here only without memory, which ends the process everywhere in Swift"),
    Exception(
      rule: "fatal-error", path: "Sources/ReplIO/AlignedBuffer.swift", containing: "out of memory",
      reason: "as every allocation of Swift's own"),
    Exception(
      rule: "blocking-sleep", path: "Sources/ReplStandby/StandbyStore+Open.swift", containing: "usleep",
      reason: "a lock that another process holds can only be tried again; it has a deadline"),
  ]

  static let executables: Set<String> = ["ReplSender", "ReplReceiver", "ReplBench"]
  /// Where a byte of a disk passes through; `Data` allocates and counts references.
  static let dataPath: Set<String> = [
    "ReplIO", "ReplTLS", "ReplCompression", "ReplDigest", "ReplVMDK", "ReplTransport", "ReplSource",
  ]

  static let all: [BannedRule] = [
    BannedRule(
      name: "try-optional",
      advice:
        "`try?` loses the error: catch it, or say in a comment on this line or the one before why it may go",
      applies: { $0.part == .sources },
      matches: { file, line in file.text.code[line].contains(/\btry\?/) && !hasComment(file.text, near: line)
      }),
    call(
      "string-format", ["String"], argument: "format:",
      "`String(format:` needs Foundation and is slow: use interpolation, or HexText for hexadecimal"),
    call("print", ["print"], "libraries return values and throw errors: only the executables print") {
      !executables.contains($0.target)
    },
    word(
      "detached-task", "Task.detached",
      "every task has a parent: use a task group, or a NamedThread for blocking calls"),
    call(
      "blocking-sleep", ["sleep", "usleep", "nanosleep", "clock_nanosleep"],
      "wait for a condition with a deadline (ReplIO.Deadline with poll, Task.sleep in async code)"),
    call(
      "durability", ["fsync", "fdatasync", "syncfs", "rename", "renameat", "renameat2"],
      "only ReplIO makes things durable: StorageFile.sync, StorageDirectory.rename, replaceFile"
    ) {
      // The test kit's storage is simulated.
      $0.target != "ReplIO" && $0.target != "ReplTestKit"
    },
    call(
      "fatal-error", ["fatalError"],
      "throw a typed error for anything from outside; `precondition` for our own mistakes"),
    BannedRule(
      name: "unchecked-sendable",
      advice:
        "write `// SAFETY:` with the rule that keeps it safe, within three lines; or use Mutex or Atomic",
      applies: { _ in true },
      matches: { file, line in
        ["@unchecked Sendable", "nonisolated(unsafe)"].contains { file.text.code[line].contains($0) }
          && !isNear(file.text, line, 3) { $0.contains("SAFETY:") }
      }),
    call(
      "data", ["Data"],
      "the data path has no Foundation.Data: [UInt8], AlignedBuffer or UnsafeRawBufferPointer"
    ) {
      dataPath.contains($0.target)
    },
    word("foundation-thread", "Thread", "blocking calls run on ReplIO.NamedThread"),
    word("dispatch", "DispatchQueue", "use an actor, a Mutex, or ReplIO.NamedThread with BoundedQueue"),
    word("dispatch", "DispatchSemaphore", "use ReplIO.BoundedQueue between threads, `await` between tasks"),
    BannedRule(
      name: "unfinished", advice: "finish it, or open an issue and leave no note in the code",
      applies: { $0.target != "TidyTests" },
      matches: { file, line in ["TODO", "FIXME"].contains { hasWord($0, in: file.text.comments[line]) } }),
    BannedRule(
      name: "vague-name", advice: "name what it is: no Utils, Common, Helpers, Manager",
      applies: { _ in true }, matches: isVague),
  ]

  static func check(_ file: SourceFile) -> [Finding] {
    all.filter { $0.applies(file) }.flatMap { rule in
      file.text.lines.indices.filter { rule.matches(file, $0) && !isExcepted(rule, file, $0) }.map { line in
        Finding(path: file.path, line: line + 1, rule: rule.name, advice: rule.advice)
      }
    }
  }

  private static func isExcepted(_ rule: BannedRule, _ file: SourceFile, _ line: Int) -> Bool {
    exceptions.contains {
      $0.rule == rule.name && $0.path == file.path
        && ($0.containing.isEmpty || file.text.lines[line].contains($0.containing))
    }
  }

  /// A free function that is called: `name(`, `Glibc.name(`, but neither `.name(` nor `func name(`.
  private static func call(
    _ rule: String, _ names: [String], argument: String = "", _ advice: String,
    in applies: @escaping @Sendable (SourceFile) -> Bool = { _ in true }
  ) -> BannedRule {
    BannedRule(name: rule, advice: advice, applies: { $0.part == .sources && applies($0) }) { file, line in
      names.contains { isCalled($0, argument: argument, in: file.text.code[line]) }
    }
  }

  private static func word(_ rule: String, _ word: String, _ advice: String) -> BannedRule {
    BannedRule(name: rule, advice: advice, applies: { $0.part == .sources }) { file, line in
      hasWord(word, in: file.text.code[line])
    }
  }

  private static func isCalled(_ name: String, argument: String, in line: String) -> Bool {
    places(of: name, in: line).contains { place in
      guard line[place.upperBound...].hasPrefix("(" + argument) else { return false }
      let before = line[..<place.lowerBound]
      if before.hasSuffix("func ") { return false }
      return !before.hasSuffix(".") || ["Glibc.", "Swift.", "Foundation."].contains { before.hasSuffix($0) }
    }
  }

  private static func hasWord(_ word: String, in line: String) -> Bool {
    places(of: word, in: line).contains { place in
      guard let next = line[place.upperBound...].first else { return true }
      return !(next.isLetter || next.isNumber || next == "_")
    }
  }

  /// Every place where `name` begins as a word of its own.
  private static func places(of name: String, in line: String) -> [Range<String.Index>] {
    var places: [Range<String.Index>] = []
    var start = line.startIndex
    while let place = line[start...].firstRange(of: name) {
      let before = line[..<place.lowerBound].last
      if !(before.map { $0.isLetter || $0.isNumber || $0 == "_" } ?? false) { places.append(place) }
      start = place.upperBound
    }
    return places
  }

  /// On the line, or on the one before (however far up that comment begins).
  private static func hasComment(_ text: SwiftText, near line: Int) -> Bool {
    [line, line - 1].contains { text.comments.indices.contains($0) && text.comments[$0].contains("//") }
  }

  private static func isNear(
    _ text: SwiftText, _ line: Int, _ distance: Int, _ condition: (String) -> Bool
  ) -> Bool {
    text.comments[max(0, line - distance)...min(text.comments.count - 1, line + distance)].contains(
      where: condition)
  }

  @Sendable private static func isVague(_ file: SourceFile, _ line: Int) -> Bool {
    let vague = ["Util", "Utils", "Utilities", "Common", "Helper", "Helpers", "Manager"]
    let words = file.text.code[line].split { !($0.isLetter || $0.isNumber || $0 == "_") }
    let kinds: Set<Substring> = ["struct", "class", "enum", "actor", "protocol", "typealias"]
    guard let kind = words.firstIndex(where: { kinds.contains($0) }), kind + 1 < words.count else {
      return false
    }
    return vague.contains { words[kind + 1].hasSuffix($0) }
  }
}
