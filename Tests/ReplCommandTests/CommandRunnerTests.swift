import Foundation
import ReplIO
import Testing

@testable import ReplCommand

@Suite struct CommandRunnerTests {
  @Test("output is captured, and arguments stay arguments whatever they hold")
  func arguments() async throws {
    let hostile = "a b; $(touch /tmp/never) \"'`"
    let result = try await CommandRunner(deadlineSeconds: 10).run(["/bin/echo", "-n", hostile])
    #expect(result.standardOutput == hostile)
  }

  @Test("a command that fails is an error with its status and what it said")
  func failure() async {
    let error = await #expect(throws: CommandError.self) {
      try await CommandRunner(deadlineSeconds: 10).run(["/bin/sh", "-c", "echo broken >&2; exit 3"])
    }
    let text = "\(String(describing: error))"
    #expect(text.contains("broken") && text.contains("ended with status 3"))
  }

  @Test("a command that hangs is ended at its deadline")
  func deadline() async {
    let began = Date()
    await #expect(throws: CommandError.self) {
      try await CommandRunner(deadlineSeconds: 0.3).run(["/bin/sleep", "60"])
    }
    #expect(Date().timeIntervalSince(began) < 10)
  }

  @Test("at the deadline every process that the command started is ended with it")
  func group() async throws {
    let mark = "100.\(UInt32.random(in: 1...UInt32.max))"
    let error = await #expect(throws: CommandError.self) {
      try await CommandRunner(deadlineSeconds: 0.5).run(["/bin/sh", "-c", "sleep \(mark) & sleep \(mark)"])
    }
    guard case .killed? = error else { throw error ?? .failed([], "nothing was thrown") }
    // A killed process needs a moment to vanish.
    let end = Date().addingTimeInterval(10)
    var left = try Self.processes(with: mark)
    while !left.isEmpty, Date() < end {
      try await Task.sleep(for: .milliseconds(10))
      left = try Self.processes(with: mark)
    }
    #expect(left == [])
  }

  @Test("what a command leaves in the background, with its output open, is not waited for")
  func background() async throws {
    let mark = "300.\(UInt32.random(in: 1...UInt32.max))"
    let began = Date()
    for start in ["sleep \(mark) &", "setsid sleep \(mark) &"] {
      let result = try await CommandRunner(deadlineSeconds: 200).run(
        ["/bin/sh", "-c", "echo before; \(start) echo after"])
      #expect(result.standardOutput == "before\nafter\n")
    }
    #expect(Date().timeIntervalSince(began) < 100)
    for process in try Self.processes(with: mark) { kill(pid_t(process) ?? 0, SIGKILL) }
  }

  @Test("at the deadline a command ends although what it left behind keeps its output open")
  func backgroundAtDeadline() async throws {
    let mark = "301.\(UInt32.random(in: 1...UInt32.max))"
    let began = Date()
    let error = await #expect(throws: CommandError.self) {
      try await CommandRunner(deadlineSeconds: 1).run(
        ["/bin/sh", "-c", "setsid sleep \(mark) & sleep \(mark)"])
    }
    guard case .killed? = error else { throw error ?? .failed([], "nothing was thrown") }
    #expect(Date().timeIntervalSince(began) < 100)
    for process in try Self.processes(with: mark) { kill(pid_t(process) ?? 0, SIGKILL) }
  }

  @Test("a command ends soon when its program is told to end, with everything it started")
  func stopped() async throws {
    let mark = "302.\(UInt32.random(in: 1...UInt32.max))"
    let began = Date()
    let error = await #expect(throws: CommandError.self) {
      try await NamedThread.run("command") {
        try CommandRunner(deadlineSeconds: 200).runBlocking(
          ["/bin/sh", "-c", "sleep \(mark) & sleep \(mark)"],
          isStopping: { Date().timeIntervalSince(began) > 0.5 })
      }
    }
    guard case .stopped? = error else { throw error ?? .failed([], "nothing was thrown") }
    #expect(Date().timeIntervalSince(began) < 100)
    let end = Date().addingTimeInterval(10)
    var left = try Self.processes(with: mark)
    while !left.isEmpty, Date() < end {
      try await Task.sleep(for: .milliseconds(10))
      left = try Self.processes(with: mark)
    }
    #expect(left == [])
  }

  @Test("short output is whole, however quickly the command ends")
  func quickOutput() async throws {
    for round in 0..<150 {
      let result = try await CommandRunner(deadlineSeconds: 20).run(["/bin/echo", "/line/\(round)"])
      #expect(result.standardOutput == "/line/\(round)\n")
    }
  }

  private static func processes(with mark: String) throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: "/proc").filter { entry in
      // A process that ended meanwhile is not left.
      (try? String(contentsOfFile: "/proc/\(entry)/cmdline", encoding: .utf8))?.contains(mark) ?? false
    }
  }

  @Test("the environment comes on top of this process's own, also for a thread that blocks")
  func environment() async throws {
    let runner = CommandRunner(deadlineSeconds: 10, environment: ["VMREPL_TAG": "a b"])
    let result = try await NamedThread.run("command") {
      try runner.runBlocking(["/bin/sh", "-c", "echo \"$VMREPL_TAG:${PATH:+path}\""])
    }
    #expect(result.standardOutput == "a b:path\n")
  }

  @Test("a command that prints much is read to its end, and the last of it is kept")
  func muchOutput() async throws {
    let result = try await CommandRunner(deadlineSeconds: 30).run(
      ["/bin/sh", "-c", "head -c 1000000 /dev/zero | tr '\\0' x; echo; echo last"])
    #expect(result.standardOutput.hasSuffix("x\nlast\n"))
    #expect(result.standardOutput.utf8.count == CommandRunner.outputLimitBytes)
  }

  @Test("a command that a signal ended is told in words, with what it printed")
  func signalled() async {
    let error = await #expect(throws: CommandError.self) {
      try await CommandRunner(deadlineSeconds: 10).run(["/bin/sh", "-c", "echo on stdout.; kill -9 $$"])
    }
    let text = error.map { "\($0)" } ?? ""
    #expect(text.contains("was ended by signal 9 and said: on stdout."), "\(text)")
  }

  @Test("a relative program and a missing one are refused")
  func refused() async {
    await #expect(throws: CommandError.self) {
      try await CommandRunner(deadlineSeconds: 5).run(["echo", "x"])
    }
    await #expect(throws: CommandError.self) {
      try await CommandRunner(deadlineSeconds: 5).run(["/no/such/program"])
    }
    await #expect(throws: CommandError.self) { try await CommandRunner(deadlineSeconds: 5).run([]) }
  }

  @Test("commands are shown so that they can be pasted into a shell")
  func quoting() {
    #expect(CommandLineText.quoted(["/bin/x", "a b", "it's", ""]) == "/bin/x 'a b' 'it'\\''s' ''")
  }
}
