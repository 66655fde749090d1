import ArgumentParser
import ReplFailover
import ReplIO
import ReplModel
import ReplService
import ReplStandby

/// The disks of a standby, those that the VM no longer has included.
struct DiskCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "disk",
    abstract: "List the disks of a standby, and remove those that the VM no longer has.",
    discussion: """
      A disk that is taken out of its VM stays here, detached, until it is removed with this command.
      """,
    subcommands: [DiskListCommand.self, DiskRemoveCommand.self])
}

/// Which standby is meant, and where it is looked for.
struct StandbyArgument: ParsableArguments {
  @OptionGroup var option: ConfigOption

  @Argument(help: "The VM: its name, its UUID, or the name of its folder in the store.")
  var vm: String

  /// The standby and its disks. Needs no lock.
  func find() throws -> (found: StandbySearch.Found, disks: [DiskReport]) {
    let config = try option.load()
    let state = try StateDirectory.open(path: config.stateDirectory)
    let receiver = try ReceiverIdentity.loadOrMake(in: state.directory)
    let stores = try Stores.openSome(config, state: state.directory, receiver: receiver).map(\.store)
    let found = try StandbySearch(stores: stores).find(vm)
    return (found, try found.store.disks(of: found.summary))
  }
}

/// One disk as `--json` shows it.
struct DiskOutput: Encodable {
  struct File: Encodable {
    let name: String
    let sizeBytes: Int64
    let allocatedBytes: Int64?
  }

  let disk: DiskID
  let slot: DiskSlot
  let state: CatalogDisk.State
  let sizeBytes: Int64
  /// The block device that holds it; nothing when a file does.
  let device: String?
  let files: [File]
  /// Kept recovery points that hold it.
  let points: [PointReference]
  /// Why it cannot be removed now.
  let removalRefused: String?

  init(_ report: DiskReport) {
    disk = report.disk.disk
    slot = report.disk.slot
    state = report.disk.state
    sizeBytes = report.disk.grid.sizeBytes
    device = report.disk.device
    files = report.files.map {
      File(name: $0.name, sizeBytes: $0.sizeBytes, allocatedBytes: $0.allocatedBytes)
    }
    points = report.points
    removalRefused = report.refusal
  }
}

/// Lists every disk of a standby.
struct DiskListCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "list", abstract: "Show every disk of a standby, its files and the points that hold it.")

  @OptionGroup var standby: StandbyArgument

  @Flag(help: "Print JSON.")
  var json = false

  func run() async throws {
    try await Failure.explaining {
      let disks = try standby.find().disks
      if json { return Terminal.say(try JSONText.encode(disks.map(DiskOutput.init)) + "\n") }
      if disks.isEmpty { Terminal.say("no disks\n") }
      for disk in disks { Terminal.say(Self.line(disk) + "\n") }
    }
  }

  private static func line(_ report: DiskReport) -> String {
    let held = report.files.compactMap(\.allocatedBytes).reduce(0, +)
    let points = report.points.map { "\($0)" }.joined(separator: ", ")
    return "\(report.disk.slot)  \(report.disk.state.rawValue)  \(report.disk.disk)  "
      + "\(AmountText.size(bytes: report.disk.grid.sizeBytes)), \(AmountText.size(bytes: held)) of the store"
      + ", \(report.disk.dataName), " + (points.isEmpty ? "in no point" : "in \(points)")
  }
}
