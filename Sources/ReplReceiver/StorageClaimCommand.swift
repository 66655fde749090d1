import ArgumentParser
import ReplIO
import ReplModel
import ReplService
import ReplStandby

/// Gives a block device that is not empty to a disk.
struct StorageClaimCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "claim",
    abstract: "Give a block device, whatever it holds, to a disk of a VM.",
    discussion: """
      An empty device is taken as the configuration says. One that holds something is refused until it
      is claimed
      with this command. Shows what is on the device and asks; without a terminal to ask on, --yes is needed.
      """)

  @OptionGroup var option: ConfigOption

  @Argument(help: "The device, as the configuration names it.")
  var device: String

  @Option(name: .long, help: "The VM, as the configuration names it.")
  var vm: String

  @Option(name: .long, help: "The disk's slot, such as scsi0:0.")
  var disk: String

  @Flag(help: "Do not ask.")
  var yes = false

  func run() async throws {
    try await Failure.explaining {
      guard let slot = DiskSlot(disk) else {
        throw Failure.exit(
          .usage, "\(SafeText.printable(disk)) is no slot of a disk: write for example scsi0:0")
      }
      let config = try option.load()
      let state = try StateDirectory.open(path: config.stateDirectory)
      let receiver = try ReceiverIdentity.loadOrMake(in: state.directory)
      let devices = Stores(config: config, state: state.directory, receiver: receiver).devices
      try checkPlan(devices, slot)
      let found = try devices.inspect(device)
      Terminal.say("device   \(SafeText.printable(found.path)), \(AmountText.size(bytes: found.sizeBytes)), ")
      Terminal.say("sectors of \(found.sectorBytes) bytes\n")
      Terminal.say("holds    \(found.content)\n")
      Terminal.say("for      disk \(slot) of \(SafeText.printable(vm)): all of it may be overwritten\n")
      try Confirmation.ask(yes, "nothing was claimed")
      try devices.claim(device, vm: vm, slot: slot, at: SystemTime().wallTime())
      Terminal.complain("claimed \(SafeText.printable(device))\n")
    }
  }

  /// A claim for a disk that would not use it would wait for ever, and surprise somebody then.
  private func checkPlan(_ devices: StandbyDevices, _ slot: DiskSlot) throws {
    let planned = devices.planned(vm: vm, slot: slot)
    guard planned == device else {
      let names = planned.map { "names \($0)" } ?? "names no device"
      throw Failure.exit(
        .usage,
        "for \(slot) of \(SafeText.printable(vm)) the configuration \(names): write there first "
          + "vms: [{vm: ..., devices: {\"\(slot)\": \(SafeText.printable(device))}}]")
    }
  }
}
