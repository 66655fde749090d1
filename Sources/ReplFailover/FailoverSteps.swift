import ReplCommand
import ReplIO
import ReplModel
import ReplStandby

/// A fenced standby while its commands run: no pass and no second failover comes in between.
struct FailoverHold: Sendable {
  let point: PointReference
  let epoch: Epoch
  let directory: PosixDirectory
  let request: FailoverRequest
  var progress: FailoverProgress

  mutating func reach(_ step: FailoverProgress.Step) throws(FailoverError) {
    progress.step = step
    do throws(IOError) { try progress.save(in: directory) } catch { throw .files("\(error)") }
  }
}

/// The two commands, each noted before and after it ran.
struct FailoverSteps {
  let commands: FailoverCommands
  let say: @Sendable (String) -> Void

  /// What the command printed; nil when there is none or it ran before.
  func register(
    _ hold: inout FailoverHold, _ values: FailoverCommands.Values
  ) async throws(FailoverError) -> String? {
    guard let command = commands.register, hold.progress.step < .registered else { return nil }
    let text = try await run(
      command(values), name: "register", mayHaveRun: hold.progress.step == .registering, &hold, .registering)
    hold.progress.registeredID = text
    try hold.reach(.registered)
    return text
  }

  /// What the command printed; nil when there is none or it ran before.
  func powerOn(
    _ hold: inout FailoverHold, _ values: FailoverCommands.Values
  ) async throws(FailoverError) -> String? {
    guard let command = commands.powerOn, hold.progress.step < .poweredOn else { return nil }
    let text = try await run(
      command(values), name: "power-on", mayHaveRun: hold.progress.step == .poweringOn, &hold, .poweringOn)
    try hold.reach(.poweredOn)
    return text
  }

  private func run(
    _ arguments: [String], name: String, mayHaveRun: Bool, _ hold: inout FailoverHold,
    _ step: FailoverProgress.Step
  ) async throws(FailoverError) -> String {
    if mayHaveRun { say("the \(name) command was cut off before; it runs again") }
    let before: FailoverProgress.Step = step == .registering ? .fenced : .registered
    try hold.reach(step)
    say("running: \(FailoverError.quoted(arguments))")
    let result: CommandRunner.Result
    do throws(CommandError) {
      result = try await CommandRunner(deadlineSeconds: commands.deadlineSeconds).run(arguments)
    } catch {
      // It has ended, and said so: only a failover that ended before its command did was cut off.
      if case .failed = error { try hold.reach(before) }
      throw FailoverError(error)
    }
    let text = CommandRunner.trimmed(result.standardOutput)
    if !text.isEmpty { say("it said: \(SafeText.printable(text, limit: 1024))") }
    return text
  }
}
