import ArgumentParser
import ReplFailover
import ReplIO
import ReplModel
import ReplService
import ReplStandby

/// Removes a disk that no kept point holds, for good.
struct DiskRemoveCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "remove",
    abstract: "Remove the copy of a disk that the VM no longer has.",
    discussion: """
      Shows what will be removed and asks; without a terminal to ask on, --yes is needed.
      Refused while the VM has the disk, and while a recovery point that is kept holds it.
      """)

  /// A pass may hold the standby for a moment.
  private static let lockWaitSeconds: Double = 10

  @OptionGroup var standby: StandbyArgument

  @Argument(help: "The disk: its UUID, its slot (scsi0:1), or the beginning of its file name (scsi0-1).")
  var disk: String

  @Flag(help: "Do not ask.")
  var yes = false

  @Flag(help: "Show the plan and end.")
  var plan = false

  @Flag(help: "Print the plan as JSON.")
  var json = false

  func run() async throws {
    try await Failure.explaining {
      let (found, disks) = try standby.find()
      let report = try choose(from: disks, of: found)
      try show(report, found)
      if let refusal = report.refusal { throw Failure.exit(.refused, refusal) }
      if plan { return }
      try Confirmation.ask(yes, "nothing was removed")
      guard let opened = try found.store.open(vm: found.catalog.vm, waitSeconds: Self.lockWaitSeconds) else {
        throw Failure.exit(.badData, "the standby of \(SafeText.printable(standby.vm)) is gone")
      }
      // Checked once more, by what stands under the lock.
      try opened.removeDisk(report.disk.disk)
      Terminal.complain("removed disk \(report.disk.disk)\n")
    }
  }

  private func choose(from disks: [DiskReport], of found: StandbySearch.Found) throws -> DiskReport {
    let matches = disks.filter { $0.isCalled(disk) }
    let name = SafeText.printable(found.catalog.displayName)
    guard let match = matches.first else {
      let known = disks.map { "\($0.disk.slot) (\($0.disk.disk))" }.joined(separator: ", ")
      throw Failure.exit(
        .usage,
        "\(name) has no disk \(SafeText.printable(disk)): "
          + (known.isEmpty ? "it has none" : "it has \(known)"))
    }
    guard matches.count == 1 else {
      let ids = matches.map { "\($0.disk.disk) (\($0.disk.state.rawValue))" }.joined(separator: ", ")
      throw Failure.exit(
        .usage, "\(SafeText.printable(disk)) means more than one disk of \(name): use \(ids)")
    }
    return match
  }

  private func show(_ report: DiskReport, _ found: StandbySearch.Found) throws {
    if json { return Terminal.say(try JSONText.encode(DiskOutput(report)) + "\n") }
    for line in Self.lines(report, found) { Terminal.say(line + "\n") }
  }

  private static func lines(_ report: DiskReport, _ found: StandbySearch.Found) -> [String] {
    let disk = report.disk
    let points = report.points.map { "\($0)" }.joined(separator: ", ")
    var lines = [
      "VM      \(SafeText.printable(found.catalog.displayName)) (\(found.catalog.vm))",
      "disk    \(disk.slot) (\(disk.disk)), \(disk.state.rawValue), "
        + AmountText.size(bytes: disk.grid.sizeBytes),
      "points  " + (points.isEmpty ? "none that is kept holds it" : points),
    ]
    for file in report.files {
      if file.name == disk.device {
        lines.append("device  \(file.name), \(AmountText.size(bytes: file.sizeBytes)): stays as it is")
        continue
      }
      let held = file.allocatedBytes.map { ", \(AmountText.size(bytes: $0)) of the store" } ?? ""
      lines.append(
        "file    \(found.store.path)/\(found.summary.directory)/\(file.name), "
          + "\(AmountText.size(bytes: file.sizeBytes))\(held)")
    }
    if report.files.isEmpty { lines.append("file    none is here any more") }
    if disk.device != nil {
      lines.append(
        "after   the device keeps what is on it and is free for other use; before a disk can have it again, "
          + "it is emptied or claimed (repl-receiver storage claim)")
      return lines
    }
    lines.append(
      disk.state == .seeding
        ? "after   its first copy is under way: if the VM still has it, it begins anew"
        : "after   the copy is gone for good; if the VM gets the disk again, it is copied anew")
    return lines
  }
}
