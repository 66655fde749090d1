import ArgumentParser
import ReplFailover
import ReplIO
import ReplModel
import ReplService
import ReplStandby

/// Takes a standby back that somebody else wrote.
struct AdoptCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "adopt",
    abstract: "Take back a standby that somebody else wrote: keep what is right, repair the rest.",
    discussion: """
      For a standby that is diverged. Reads all of it, keeps every page that is what its newest point says,
      and marks the others as wanted: the next pass brings them. What somebody else wrote there is lost then.
      Older points that need such a page are marked damaged; they are right again when the source has not
      changed it meanwhile.
      Shows the plan and asks; without a terminal to ask on, --yes is needed.
      """)

  @OptionGroup var standby: StandbyArgument

  @Flag(help: "Needed: the standby is taken only as far as reading all of it proves.")
  var verify = false

  @Flag(help: "Do not ask.")
  var yes = false

  @Flag(help: "Show the plan and end.")
  var plan = false

  @Flag(help: "Print what was found as JSON.")
  var json = false

  func validate() throws {
    guard verify else {
      throw ValidationError("a standby is taken back only after all of it was read: say adopt --verify")
    }
  }

  func run() async throws {
    try await Failure.explaining {
      let found = try standby.find().found
      try check(found.catalog)
      for line in Self.lines(found) {
        if json { Terminal.complain(line + "\n") } else { Terminal.say(line + "\n") }
      }
      if plan { return }
      try Confirmation.ask(yes, "nothing was changed")
      let began = SystemTime().wallTime()
      let outcome = try await VerifyRun(found: found).run { store, vm, progress throws(StandbyError) in
        try store.adopt(vm: vm, progress: progress)
      }
      let output = VerifyOutput(outcome, found, choice: .everything, repairs: true, from: began)
      if json {
        Terminal.say(try JSONText.encode(output) + "\n")
      } else {
        for line in output.lines { Terminal.say(line + "\n") }
      }
      // What differs is what was expected, and is wanted now.
      if outcome.verdict == .inconclusive { throw Failure.silent(.inputOutput) }
    }
  }

  private func check(_ catalog: Catalog) throws {
    let name = SafeText.printable(catalog.displayName)
    if catalog.fence != nil {
      throw Failure.exit(
        .refused, "\(name) is promoted: its disks are the running VM's and cannot be taken back")
    }
    guard catalog.newest != nil else {
      throw Failure.exit(.refused, "\(name) has no recovery point: there is nothing to compare it with")
    }
  }

  private static func lines(_ found: StandbySearch.Found) -> [String] {
    let catalog = found.catalog
    var lines = [
      "VM        \(SafeText.printable(catalog.displayName)) (\(catalog.vm))",
      "standby   \(found.store.path)/\(found.summary.directory)",
    ]
    if let divergence = catalog.divergence {
      lines.append("diverged  since \(divergence.at): \(SafeText.printable(divergence.detail, limit: 512))")
    } else {
      lines.append("diverged  not as far as is known")
    }
    lines.append("read      all of \(catalog.disks.count { $0.state == .ready }) disk(s)")
    let newest = catalog.newest.map { "\($0.reference)" } ?? "-"
    lines.append("keep      every page that is what recovery point \(newest) says")
    lines.append("repair    every other page with the next pass: what somebody else wrote there is lost")
    return lines
  }
}
