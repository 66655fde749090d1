import ArgumentParser
import ReplIO
import ReplModel
import ReplService
import ReplStandby

/// Probes stores, and looks at the devices.
struct StorageCheckCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "check",
    abstract: "Try what the storage of a store does, and say what follows from it.",
    discussion: """
      Everything is done once in a hidden folder beneath the store, read back and removed: it writes
      a few MiB and takes a second or two. Without a store, block devices that the configuration names
      are looked at as well;
      nothing is written there. Ends with 1 when something cannot be used.
      """)

  @OptionGroup var option: ConfigOption

  @Argument(help: "The store: its name, or a path; without it, every configured store and device.")
  var store: String?

  @Flag(help: "Print JSON.")
  var json = false

  private struct Output: Encodable {
    var stores: [StoreOutput] = []
    var devices: [DeviceOutput] = []

    var isUsable: Bool { stores.allSatisfy(\.usable) && devices.allSatisfy { $0.problem == nil } }
  }

  private struct StoreOutput: Encodable {
    let store: String?
    let path: String
    let usable: Bool
    let traits: StorageTraits?
    let problems: [String]
  }

  private struct DeviceOutput: Encodable {
    let vm: String
    let slot: DiskSlot
    let path: String
    let sizeBytes: Int64?
    let sectorBytes: Int?
    /// What the first and last bytes look like.
    let content: String?
    /// A disk of ours is on it.
    let isOurs: Bool
    /// Whether holes are punched, which is tried when the device is taken.
    let punches: Bool
    let problem: String?
  }

  func run() async throws {
    try await Failure.explaining {
      let output = try check()
      if json {
        Terminal.say(try JSONText.encode(output) + "\n")
      } else {
        output.stores.forEach(Self.show)
        output.devices.forEach(Self.show)
      }
      guard output.isUsable else { throw Failure.silent(.failed) }
    }
  }

  private func check() throws -> Output {
    // A path needs no configuration: storage can be tried before it becomes a store.
    if let store, store.contains("/") { return Output(stores: [Self.probe(nil, store, stores: nil)]) }
    let config = try option.load()
    // As the daemon's user, so that nothing is left that the daemon cannot remove.
    let state = try StateDirectory.open(path: config.stateDirectory)
    let stores = Stores(
      config: config, state: state.directory,
      receiver: try ReceiverIdentity.loadOrMake(in: state.directory))
    guard let store else {
      return Output(
        stores: config.stores.map { Self.probe($0, $0.path, stores: stores) }, devices: devices(stores))
    }
    guard let found = config.stores.first(where: { $0.name == store }) else {
      let names = config.stores.map(\.name).joined(separator: ", ")
      throw Failure.exit(.usage, "there is no store \(SafeText.printable(store)): the stores are \(names)")
    }
    return Output(stores: [Self.probe(found, found.path, stores: stores)])
  }

  private static func probe(_ store: ReceiverConfig.Store?, _ path: String, stores: Stores?) -> StoreOutput {
    do {
      // A configured store is not written before it is known to be the right one.
      let known = try store.flatMap { try stores?.check($0) }
      let traits = try StorageProbe.run(in: try Stores.root(path))
      if let store, let stores, let known {
        try KnownStores.update(
          store.name, to: .init(store: known.0, path: path, traits: traits), in: stores.state)
      }
      return StoreOutput(
        store: store?.name, path: path, usable: traits.obstacles.isEmpty, traits: traits,
        problems: traits.obstacles)
    } catch {
      return StoreOutput(store: store?.name, path: path, usable: false, traits: nil, problems: ["\(error)"])
    }
  }

  private func devices(_ stores: Stores) -> [DeviceOutput] {
    let opener = MachineDevices()
    let claims = DeviceClaims(state: stores.state, opener: opener)
    return stores.config.vms.flatMap { vm in
      vm.devices.sorted { $0.key < $1.key }.map { slot, path in
        do {
          let device = try opener.open(path, isWritable: false)
          let claim = try claims.claim(of: device)
          let found = try DeviceInspection(device)
          return DeviceOutput(
            vm: vm.name, slot: slot, path: path, sizeBytes: found.sizeBytes, sectorBytes: found.sectorBytes,
            content: found.content, isOurs: claim?.disk != nil, punches: claim?.punches ?? false,
            problem: claim == nil && !found.isEmpty
              ? "it is not empty: give it to the disk with repl-receiver storage claim" : nil)
        } catch {
          return DeviceOutput(
            vm: vm.name, slot: slot, path: path, sizeBytes: nil, sectorBytes: nil, content: nil,
            isOurs: false, punches: false, problem: "\(error)")
        }
      }
    }
  }

  private static func show(_ output: StoreOutput) {
    let name = output.store.map { "\($0) at " } ?? ""
    Terminal.say("\(SafeText.printable(name))\(SafeText.printable(output.path))\n")
    for line in output.traits.map(StorageReport.lines) ?? [] {
      Terminal.say("  \(padded(line.trait, 15))\(padded(line.found, 18))\(line.meaning)\n")
    }
    for problem in output.problems { Terminal.say("  problem        \(problem)\n") }
    Terminal.say(output.usable ? "  usable\n" : "  NOT USABLE as a store\n")
  }

  private static func show(_ output: DeviceOutput) {
    Terminal.say(
      "\(SafeText.printable(output.path)) for \(output.slot) of \(SafeText.printable(output.vm))\n")
    if let size = output.sizeBytes, let sector = output.sectorBytes, let content = output.content {
      Terminal.say("  size           \(AmountText.size(bytes: size)), sectors of \(sector) bytes\n")
      Terminal.say("  holds          \(output.isOurs ? "the disk" : content)\n")
      if output.isOurs {
        Terminal.say("  zeros          \(output.punches ? "punched, as was tried" : "written")\n")
      }
    }
    Terminal.say(output.problem.map { "  problem        \($0)\n  NOT USABLE\n" } ?? "  usable\n")
  }

  private static func padded(_ text: String, _ width: Int) -> String {
    text + String(repeating: " ", count: max(1, width - text.count))
  }
}
