import ArgumentParser
import ReplModel
import ReplService
import ReplStandby

/// Keeps a point whatever retention says.
struct PointsPinCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "pin", abstract: "Keep a recovery point until it is unpinned, whatever retention says.")

  @OptionGroup var standby: StandbyArgument

  @Argument(help: "The recovery point, as `points` lists it: 1.42.")
  var point: PointReference

  @Option(help: "Why, for those who read the list later.")
  var reason = ""

  func run() async throws {
    try await Failure.explaining {
      let found = try standby.find().found
      try found.store.pin(point, reason: reason, of: found.summary)
      Terminal.complain("pinned \(point)\n")
    }
  }
}

/// Gives a point back to retention.
struct PointsUnpinCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "unpin", abstract: "Let retention decide about a recovery point again.")

  @OptionGroup var standby: StandbyArgument

  @Argument(help: "The recovery point.")
  var point: PointReference

  func run() async throws {
    try await Failure.explaining {
      let found = try standby.find().found
      try found.store.unpin(point, of: found.summary)
      Terminal.complain("unpinned \(point)\n")
    }
  }
}

/// Drops a point for good.
struct PointsDropCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "drop",
    abstract: "Drop a recovery point for good.",
    discussion: """
      Shows what will be dropped and asks; without a terminal to ask on, --yes is needed. The newest
      point, the one that was failed over to and pinned ones are refused.
      """)

  /// A pass may hold the standby for a while.
  private static let lockWaitSeconds: Double = 60

  @OptionGroup var standby: StandbyArgument

  @Argument(help: "The recovery point.")
  var point: PointReference

  @Flag(help: "Do not ask.")
  var yes = false

  func run() async throws {
    try await Failure.explaining {
      let found = try standby.find().found
      let listed = try found.store.points(of: found.summary)
      let name = SafeText.printable(found.catalog.displayName)
      guard let report = listed.first(where: { $0.point.reference == point }) else {
        throw Failure.exit(.usage, "\(name) has no recovery point \(point): see repl-receiver points \(name)")
      }
      Terminal.say(
        "drop    recovery point \(point) of \(name), frozen at \(report.point.frozenAt), "
          + "\(report.point.label.rawValue), \(AmountText.size(bytes: report.undoBytes))\n")
      try Confirmation.ask(yes, "nothing was dropped")
      guard
        let opened = try found.store.open(vm: found.catalog.vm, waitSeconds: Self.lockWaitSeconds)
      else { throw Failure.exit(.badData, "the standby of \(name) is gone") }
      try opened.dropPoint(point)
      Terminal.complain("dropped \(point)\n")
    }
  }
}
