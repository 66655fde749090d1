import ReplCommand
import ReplIO
import ReplModel

/// Runs the operator's commands of one freeze.
struct FreezeCommands: Sendable {
  /// What a command says of itself in the log.
  private static let saidLimit = 1024
  /// How often a post-thaw hook is tried within its deadline.
  private static let thawAttempts = 3
  private static let thawPauseMilliseconds: Int32 = 300

  let tag: String
  let vmxPath: String
  let directory: String
  let vm: VMID
  let displayName: String
  let time: any TimeSource
  let report: @Sendable (FreezeEvent) -> Void
  let ending: FreezeEnding

  init(
    _ record: FreezeRecord, time: any TimeSource, ending: FreezeEnding,
    report: @escaping @Sendable (FreezeEvent) -> Void
  ) {
    tag = record.tag
    vmxPath = record.vmxPath
    directory = record.directory
    vm = record.vm
    displayName = record.displayName
    self.time = time
    self.ending = ending
    self.report = report
  }

  func filled(_ spec: CommandSpec) -> FreezeRecord.Command {
    FreezeRecord.Command(
      arguments: spec.template.filled(with: [
        "vmx": vmxPath, "name": displayName, "directory": directory, "id": vm.description, "tag": tag,
      ]), deadlineSeconds: spec.deadlineSeconds)
  }

  private func environment(_ stage: FreezeStage) -> [String: String] {
    [
      "VMREPL_STAGE": stage.rawValue, "VMREPL_VM_ID": vm.description,
      "VMREPL_VM_NAME": SafeText.printable(displayName), "VMREPL_VMX": vmxPath,
      "VMREPL_DIRECTORY": directory, "VMREPL_TAG": tag,
    ]
  }

  /// What it printed. Blocks.
  @discardableResult func run(
    _ command: FreezeRecord.Command, _ stage: FreezeStage
  ) throws(SourceError) -> String {
    let began = time.monotonicNanoseconds()
    let runner = CommandRunner(
      deadlineSeconds: command.deadlineSeconds, environment: environment(stage))
    let result: CommandRunner.Result
    do throws(CommandError) {
      result = try runner.runBlocking(command.arguments) { stage.mayBeGivenUp && ending.hasBegun }
    } catch {
      // What left its process group would go on, and freeze the guest after it was thawed.
      switch error {
      case .killed, .stopped: StrayCommand.end(tag: tag, stage: stage)
      case .refused, .failed: break
      }
      throw .command(path: vmxPath, stage: stage, error)
    }
    let milliseconds = (time.monotonicNanoseconds() - began) / 1_000_000
    let said = CommandRunner.trimmed(result.standardOutput + "\n" + result.standardError)
    let text = SafeText.printable(String(said.suffix(Self.saidLimit)), limit: Self.saidLimit)
    report(
      FreezeEvent(
        .info, stage, "\(stage.rawValue) took \(milliseconds) ms" + (text.isEmpty ? "" : " and said: \(text)")
      ))
    return result.standardOutput
  }

  /// A guest that stays frozen is worse than a hook that runs twice: tried a few times within the deadline.
  func thaw(_ command: FreezeRecord.Command) throws(SourceError) {
    let end = time.monotonicNanoseconds() + Int64(command.deadlineSeconds * 1e9)
    var failure: SourceError?
    for _ in 0..<Self.thawAttempts {
      let rest = Double(end - time.monotonicNanoseconds()) / 1e9
      guard rest > 0 || failure == nil else { break }
      do throws(SourceError) {
        try run(
          FreezeRecord.Command(arguments: command.arguments, deadlineSeconds: max(rest, 1)), .postThaw)
        return
      } catch { failure = error }
      Pause.milliseconds(Self.thawPauseMilliseconds)
    }
    if let failure { throw failure }
  }
}
