import ArgumentParser
import ReplModel
import ReplService
import ReplStandby

/// What the stores' storage does, and what is remembered of stores and devices.
struct StorageCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "storage",
    abstract: "Find out what storage really does; give devices to disks; forget a store that was replaced.",
    subcommands: [StorageCheckCommand.self, StorageClaimCommand.self, StorageForgetCommand.self])
}

/// Forgets the identity of a store that was replaced for good.
struct StorageForgetCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "forget",
    abstract: "Forget which store a name stood for, after it was replaced by another one for good.",
    discussion: """
      The store that lies at the configured path is taken from then on. The standbys of the old one are not
      touched, and not known any more.
      """)

  @OptionGroup var option: ConfigOption

  @Argument(help: "The store's name in the configuration.")
  var name: String

  func run() async throws {
    try await Failure.explaining {
      let config = try option.load()
      let state = try StateDirectory.open(path: config.stateDirectory)
      guard let known = try KnownStores.update(name, to: nil, in: state.directory) else {
        throw Failure.exit(.usage, "nothing is remembered of a store \(SafeText.printable(name))")
      }
      Terminal.say(
        "forgot \(SafeText.printable(name)): it was \(known.store) at \(SafeText.printable(known.path))\n")
    }
  }
}
