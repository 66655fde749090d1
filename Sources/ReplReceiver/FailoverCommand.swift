import ArgumentParser
import Glibc
import ReplCommand
import ReplFailover
import ReplIO
import ReplModel
import ReplService
import ReplStandby

/// Starts a standby for real. Works with and without a running daemon; interrupted, it goes on when it is run
/// again.
struct FailoverCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "failover",
    abstract: "Start the standby of a VM for real: fence it, make it startable, register it, power it on.",
    discussion: """
      Shows what will be done and asks. Replication to this standby ends for good: a sender that comes back is
      refused.
      A failover that was interrupted is run again and goes on where it was.
      """)

  @OptionGroup var option: ConfigOption

  @Argument(help: "The VM: its name, its UUID, or the name of its folder in the store.")
  var vm: String

  @Option(help: "The recovery point to start, as `points` lists it (1.42); without it, the newest.")
  var point: PointReference?

  @Flag(help: "Do not ask.")
  var yes = false

  @Flag(help: "Take a fuzzy recovery point: one whose disks were read while the VM wrote to them.")
  var acceptFuzzy = false

  @Flag(
    help: ArgumentHelp(
      "Take a standby that is suspect or diverged: one whose disks may not be what replication wrote.",
      discussion: "Also the point before a committed one that cannot be brought into the disks, and another "
        + "point when the VM may have been started since the failover. Asks for the age of the point, as the "
        + "plan shows it."))
  var force = false

  @Option(
    help: ArgumentHelp(
      "With --force, instead of being asked: what is lost, as the plan shows it.", valueName: "23 min"))
  var yesIAcceptLossOf: String?

  @Flag(help: "Show the plan and end.")
  var plan = false

  @Flag(help: "Print the plan or the result as JSON.")
  var json = false

  func run() async throws {
    let config = try option.load()
    do {
      let state = try StateDirectory.open(path: config.stateDirectory)
      let receiver = try ReceiverIdentity.loadOrMake(in: state.directory)
      let stores = try Stores.openSome(config, state: state.directory, receiver: receiver).map(\.store)
      let failover = Failover(commands: Self.commands(config.failover), time: SystemTime())
      let target = try StandbySearch(stores: stores).find(vm)
      let choice = Failover.Choice(point: point, acceptsFuzzy: acceptFuzzy, forces: force)
      let plan = try failover.plan(target, choice)
      try show(plan)
      if self.plan { return }
      if let why = plan.fuzzyRefusal { throw FailoverError.fuzzyPoint(SafeText.printable(plan.name), why) }
      if !force, !plan.doubts.isEmpty {
        throw FailoverError.doubtful(SafeText.printable(plan.name), plan.doubts.joined(separator: "; "))
      }
      guard isConfirmed(plan) else { throw FailoverError.notConfirmed(SafeText.printable(plan.name)) }
      let report = try await failover.run(target, choice) { Terminal.complain("\($0)\n") }
      try show(report, config.failover)
    } catch let error as FailoverError {
      throw Failure.exit(Self.exitCode(error), "\(error)")
    } catch let error as StateDirectoryError {
      throw Failure.exit(error.exitCode, "\(error)")
    } catch let error as StandbyError {
      throw Failure.exit(Failure.code(error), "\(error)")
    } catch let error as IOError {
      throw Failure.exit(.inputOutput, "\(error)")
    }
  }

  private func show(_ plan: FailoverPlan) throws {
    if json && self.plan {
      print(try JSONText.encode(plan))
    } else {
      for line in plan.lines {
        if json { Terminal.complain("\(line)\n") } else { Terminal.say("\(line)\n") }
      }
    }
  }

  /// What is doubtful needs more than a yes, also where nobody is asked.
  private func isConfirmed(_ plan: FailoverPlan) -> Bool {
    guard !plan.doubts.isEmpty else {
      if yes { return true }
      Terminal.say("Type yes to go on: ")
      return readLine() == "yes"
    }
    if let yesIAcceptLossOf { return plan.isLoss(yesIAcceptLossOf) }
    Terminal.say(
      "The disks may not be what replication wrote, and the last \(plan.lossText) are lost. "
        + "Type \(plan.lossText) to go on: ")
    return plan.isLoss(readLine() ?? "")
  }

  private func show(_ report: Failover.Report, _ commands: ReceiverConfig.Failover) throws {
    if json {
      print(try JSONText.encode(report))
      return
    }
    print("\(vm) is failed over: recovery point \(report.point), epoch \(report.epoch)")
    if commands.powerOn == nil {
      print("no power-on command is configured; on an ESXi host that sees this store, run for example:")
      print("  vim-cmd vmsvc/power.on $(vim-cmd solo/registervm \(FailoverError.quoted([report.vmxPath])))")
      print("or with VMware Workstation: vmrun -T ws start \(FailoverError.quoted([report.vmxPath])) nogui")
    }
  }

  static func commands(_ config: ReceiverConfig.Failover) -> FailoverCommands {
    func expand(_ template: CommandTemplate?) -> (@Sendable (FailoverCommands.Values) -> [String])? {
      guard let template else { return nil }
      return { values in
        template.filled(
          with: [
            "vmx": values.vmx, "name": values.name, "directory": values.directory, "id": values.id,
          ])
      }
    }
    return FailoverCommands(
      register: expand(config.register), powerOn: expand(config.powerOn),
      deadlineSeconds: config.deadlineSeconds)
  }

  static func exitCode(_ error: FailoverError) -> ReplService.ExitCode {
    switch error {
    case .noSuchVM, .ambiguousVM, .noSuchPoint: .usage
    case .unreadable: .badData
    case .notConfirmed, .noRecoveryPoint, .fuzzyPoint, .otherPoint, .doubtful: .refused
    case .standby(let error), .unsettled(_, let error, _): Failure.code(error)
    case .files: .inputOutput
    case .commandRefused: .config
    case .commandFailed, .commandKilled: .failed
    }
  }
}
