import Testing

/// Each banned call is found in a sample, and what looks like it is not.
@Suite("Banned calls")
struct BannedSampleTests {
  struct Sample: Sendable, CustomTestStringConvertible {
    let rule: String
    let target: String
    let text: String
    var testDescription: String { "\(rule): \(text)" }

    init(_ rule: String, _ text: String, in target: String = "ReplStandby") {
      self.rule = rule
      self.text = text
      self.target = target
    }
  }

  static let bad = [
    Sample("try-optional", "let value = try? read()"),
    Sample("try-optional", "// Why.\n\nlet value = try? read()"),
    Sample("string-format", "let text = String(format: \"%02x\", byte)"),
    Sample("print", "print(\"hello\")"),
    Sample("print", "Swift.print(x)"),
    Sample("print", "let text = \"\\(print(x))\""),
    Sample("detached-task", "Task.detached { await run() }"),
    Sample("blocking-sleep", "usleep(1000)"),
    Sample("blocking-sleep", "Glibc.sleep(1)"),
    Sample("blocking-sleep", "nanosleep(&time, nil)"),
    Sample("durability", "guard fsync(descriptor) == 0 else { return }"),
    Sample("durability", "fdatasync(descriptor)"),
    Sample("durability", "if rename(old, new) != 0 {}"),
    Sample("durability", "Glibc.renameat(a, b, c, d)"),
    Sample("fatal-error", "fatalError(\"no\")"),
    Sample("unchecked-sendable", "final class Box: @unchecked Sendable {}"),
    Sample("unchecked-sendable", "nonisolated(unsafe) var count = 0"),
    Sample("unchecked-sendable", "// SAFETY: far away.\n\n\n\nnonisolated(unsafe) var count = 0"),
    Sample("data", "let bytes = Data(count: 4096)", in: "ReplDigest"),
    Sample("data", "return Data(bytes)", in: "ReplSource"),
    Sample("foundation-thread", "Thread.detachNewThread {}"),
    Sample("foundation-thread", "let thread = Thread(block: work)"),
    Sample("dispatch", "DispatchQueue.main.async {}"),
    Sample("dispatch", "let gate = DispatchSemaphore(value: 0)"),
    Sample("unfinished", "// TODO: later"),
    Sample("unfinished", "let x = 1  // FIXME"),
    Sample("vague-name", "enum StringUtils {}"),
    Sample("vague-name", "final class ConnectionManager {}"),
  ]

  static let good = [
    Sample("try-optional", "// The file may be gone, which is what is wanted.\nlet value = try? read()"),
    Sample("try-optional", "let value = try? read()  // nil means missing"),
    Sample("try-optional", "let text = \"try? this\""),
    Sample("try-optional", "let name = entry?.name"),
    Sample("string-format", "let text = String(decoding: bytes, as: UTF8.self)"),
    Sample("print", "printer.print(\"x\")\nblueprint(x)\nlet printable = 1"),
    Sample("print", "print(\"table\")", in: "ReplSender"),
    Sample("detached-task", "group.addTask { await run() }"),
    Sample("blocking-sleep", "try await Task.sleep(for: .seconds(1))"),
    Sample("durability", "try directory.rename(old, to: new)\nfunc rename(_ from: String) {}"),
    Sample("durability", "fdatasync(descriptor)", in: "ReplIO"),
    Sample("fatal-error", "precondition(count > 0, \"no\")"),
    Sample("unchecked-sendable", "// SAFETY: one owner.\nfinal class Box: @unchecked Sendable {}"),
    Sample("unchecked-sendable", "final class Box: @unchecked Sendable {\n  // SAFETY: one owner.\n}"),
    Sample("data", "let document = Data(bytes)", in: "ReplService"),
    Sample("data", "addData(run)\nlet x: SomeData\nrow.Data(x)", in: "ReplSource"),
    Sample("foundation-thread", "NamedThread.start(\"reader\") {}"),
    Sample("unfinished", "let TODO = 1\nlet text = \"TODO\"\n// TODOS are many"),
    Sample("vague-name", "struct Helping {}\nlet manager = Managed()"),
  ]

  @Test("what is banned is found once, with its replacement", arguments: bad)
  func fires(_ sample: Sample) {
    let found = BannedRule.check(SourceFile(target: sample.target, text: sample.text))
    #expect(found.map(\.rule) == [sample.rule])
    #expect(found.first?.advice.isEmpty == false)
  }

  @Test("what only looks like it passes", arguments: good)
  func passes(_ sample: Sample) {
    #expect(BannedRule.check(SourceFile(target: sample.target, text: sample.text)).isEmpty)
  }

  @Test("every rule has a sample on which it fires")
  func everyRuleIsProven() {
    #expect(Set(BannedRule.all.map(\.name)) == Set(Self.bad.map(\.rule)))
  }

  @Test("a finding names file, line, rule and what to use instead")
  func findingIsPrecise() {
    let file = SourceFile(target: "ReplStandby", name: "Journal.swift", text: "\nfsync(descriptor)\n")
    #expect(
      BannedRule.check(file).map(\.description) == [
        "Sources/ReplStandby/Journal.swift:2: durability: only ReplIO makes things durable: "
          + "StorageFile.sync, StorageDirectory.rename, replaceFile"
      ])
  }

  @Test("an exception counts for its file and its line only")
  func exceptionsArePrecise() {
    let allowed = SourceFile(
      target: "ReplIO", name: "AlignedBuffer.swift", text: "fatalError(\"out of memory\")")
    let sameFile = SourceFile(target: "ReplIO", name: "AlignedBuffer.swift", text: "fatalError(\"other\")")
    #expect(BannedRule.check(allowed).isEmpty)
    #expect(BannedRule.check(sameFile).count == 1)
  }

  @Test("every exception says why")
  func exceptionsHaveReasons() {
    #expect(BannedRule.exceptions.allSatisfy { !$0.reason.isEmpty })
    #expect(Set(BannedRule.exceptions.map(\.rule)).isSubset(of: Set(BannedRule.all.map(\.name))))
  }
}
