import ArgumentParser
import ReplIO
import ReplModel
import ReplService
import ReplStandby

/// Makes a point readable as plain disks.
struct PointsMountCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "mount",
    abstract: "Make the disks of any recovery point readable, beside the standby.",
    discussion: """
      Plain VMDKs with descriptors and the VMX, put together in a folder: a reflink clone where the store can
      do that, else a sparse copy. The standby and its replication are not disturbed, and every disk is
      checked against the point before the folder counts as complete. `points unmount` removes it.
      """)

  @OptionGroup var standby: StandbyArgument

  @Option(help: "The recovery point; without it, the newest.")
  var point: PointReference?

  @Option(help: "The folder to make; without it, points/POINT in the standby's own.")
  var to: String?

  @Flag(help: "Take a damaged point as far as it can be had.")
  var force = false

  @Flag(help: "Print JSON.")
  var json = false

  private struct Output: Encodable {
    let point: String
    let directory: String
    let files: [String]
    let isReflink: Bool
    let isVerified: Bool
  }

  func run() async throws {
    try await Failure.explaining {
      let output = try await NamedThread.run("points-mount") { try mount() }
      if json { return Terminal.say(try JSONText.encode(output) + "\n") }
      let way = output.isReflink ? "a reflink clone" : "a sparse copy"
      let check = output.isVerified ? "checked against the point" : "NOT checked: a digest key is missing"
      Terminal.say("recovery point \(output.point) is in \(output.directory) (\(way), \(check))\n")
    }
  }

  private func mount() throws -> Output {
    let found = try standby.find().found
    let name = SafeText.printable(found.catalog.displayName)
    guard let wanted = point ?? found.catalog.newest?.reference else {
      throw Failure.exit(.refused, "\(name) has no recovery point yet: its first copy is not complete")
    }
    let bar = StepProgress()
    let extraction = try PointExtraction(
      wanted, of: found.summary, in: found.store, acceptsDamage: force
    ) { bar.show($0.step, done: $0.doneBytes, total: $0.totalBytes) }
    let folder = try PointFolder(wanted, of: "\(found.store.path)/\(found.summary.directory)", at: to)
    try folder.begin(found.catalog.vm, wanted)
    let result = try extraction.run(into: folder.directory)
    try folder.finish(result.files)
    bar.clear()
    return Output(
      point: "\(wanted)", directory: folder.directory.path, files: result.files, isReflink: result.isReflink,
      isVerified: result.isVerified)
  }
}

/// Removes what `points mount` has made.
struct PointsUnmountCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "unmount", abstract: "Remove the folder that `points mount` has made.")

  @OptionGroup var standby: StandbyArgument

  @Option(help: "The recovery point; without it, the newest.")
  var point: PointReference?

  @Option(help: "The folder, when it was named with mount --to.")
  var to: String?

  func run() async throws {
    try await Failure.explaining {
      let found = try standby.find().found
      guard let wanted = point ?? found.catalog.newest?.reference else {
        throw Failure.exit(.refused, "there is no recovery point yet")
      }
      let folder = try PointFolder(
        wanted, of: "\(found.store.path)/\(found.summary.directory)", at: to, isMade: false)
      try folder.remove()
      Terminal.complain("removed \(folder.directory.path)\n")
    }
  }
}
