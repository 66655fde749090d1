import ArgumentParser
import ReplFailover
import ReplIO
import ReplModel
import ReplService
import ReplStandby

/// Begins the copy of a VM anew.
struct ReseedCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "reseed",
    abstract: "Begin the copy of a VM anew: its recovery points end, its disks are a head start.",
    discussion: """
      For a standby that cannot be repaired, or whose points are not worth it. From then on until the next
      pass has committed there is nothing to fail over to. The next pass reads what is on the disks, and only
      what differs from the source travels.
      Shows what ends and asks; without a terminal to ask on, --yes is needed.
      """)

  /// A pass may hold the standby.
  private static let lockWaitSeconds: Double = 600

  @OptionGroup var standby: StandbyArgument

  @Flag(help: "Do not ask.")
  var yes = false

  @Flag(help: "Show the plan and end.")
  var plan = false

  @Flag(help: "Print the plan as JSON.")
  var json = false

  func run() async throws {
    try await Failure.explaining {
      let found = try standby.find().found
      let name = SafeText.printable(found.catalog.displayName)
      if found.catalog.fence != nil {
        throw Failure.exit(.refused, "\(name) is promoted: its disks are the running VM's")
      }
      let plan = try Plan(found)
      if json {
        Terminal.say(try JSONText.encode(plan) + "\n")
      } else {
        for line in plan.lines { Terminal.say(line + "\n") }
      }
      if self.plan { return }
      try Confirmation.ask(yes, "nothing was changed")
      let (store, vm) = (found.store, found.catalog.vm)
      let result = try await NamedThread.run("reseed") { () -> Result<Bool, StandbyError> in
        Result { () throws(StandbyError) in
          // From here no new pass begins, and a running one ends at its next message.
          let request = try store.requestFailover(vm: vm)
          defer { withExtendedLifetime(request) {} }
          guard let opened = try store.open(vm: vm, waitSeconds: Self.lockWaitSeconds) else { return false }
          try opened.reseed()
          return true
        }
      }
      guard try result.get() else { throw Failure.exit(.badData, "the standby of \(name) is gone") }
      Terminal.complain("the copy of \(name) begins anew with its next pass\n")
    }
  }

  private struct Plan: Encodable {
    struct Point: Encodable {
      let point: String
      let frozenAt: WallTime
      let label: PointLabel
      /// Why it was pinned; nil when it was not.
      let pin: String?
    }

    let vm: VMID
    let name: String
    let directory: String
    let endingPoints: [Point]
    let disks: [String]

    init(_ found: StandbySearch.Found) throws {
      vm = found.catalog.vm
      name = SafeText.printable(found.catalog.displayName)
      directory = "\(found.store.path)/\(found.summary.directory)"
      endingPoints =
        try found.store.points(of: found.summary).map {
          Point(
            point: "\($0.point.reference)", frozenAt: $0.point.frozenAt, label: $0.point.label, pin: $0.pin)
        }
        + (found.summary.pending.map {
          [Point(point: "\($0.reference)", frozenAt: $0.frozenAt, label: $0.label, pin: nil)]
        } ?? [])
      disks = found.catalog.disks.filter { $0.state == .ready }.map {
        "\($0.slot), \(AmountText.size(bytes: $0.grid.sizeBytes))"
      }
    }

    var lines: [String] {
      var lines = ["VM       \(name) (\(vm))", "standby  \(directory)"]
      lines += endingPoints.map {
        "ends     recovery point \($0.point), \($0.label.rawValue), of \($0.frozenAt)"
          + ($0.pin.map { ", PINNED: \(SafeText.printable($0))" } ?? "")
      }
      if endingPoints.isEmpty { lines.append("ends     nothing: there is no recovery point") }
      lines += disks.map { "begins   the first copy of \($0): what is there is read and compared" }
      lines.append("until the next pass has committed, there is nothing to fail over to")
      return lines
    }
  }
}
