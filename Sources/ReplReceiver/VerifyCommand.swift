import ArgumentParser
import ReplFailover
import ReplIO
import ReplModel
import ReplService
import ReplStandby
import Synchronization

/// Reads a standby again and compares it with the digest map of its newest recovery point.
struct VerifyCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "verify",
    abstract: "Read a standby again, compare every page with its newest point, and say what differs.",
    discussion: """
      Works with and without a running daemon; passes go on meanwhile. Reads what is on the storage, as far as
      the system lets it, not what this machine has in memory.

      With --repair, pages that differ are wanted: the next pass sends exactly those besides its own changes,
      and older points that need them are marked damaged until then.

      With --source, the source is read as well: a receiver cannot dial, so this leaves a request that the
      next pass of the VM's sender carries out. After its commit both sides read all of their disks again,
      believing no map, no hint and no cache, and sign what they found. The statement is kept at both sides
      (statements/ in the state directory); `repl-receiver statement check FILE` checks one.

      Ends with 0 when everything that was read is identical, with 1 when something differs, with 74 when the
      answer is open because something could not be read or compared, with 65 when an older point is damaged
      or nothing was proven.
      """)

  @OptionGroup var standby: StandbyArgument

  @Option(
    help: ArgumentHelp(
      "Read only about this share of what the disks hold, chosen at random: 5%.", valueName: "share"))
  var sample: String?

  @Option(help: "With --sample: chooses the same parts again.")
  var seed: UInt64?

  @Option(help: "Only this disk: its UUID, its slot (scsi0:1), or the beginning of its file name (scsi0-1).")
  var disk: String?

  @Option(
    help: ArgumentHelp(
      "Verify this older point: the disks, and the undo files that lead back to it.", valueName: "point"))
  var point: String?

  @Flag(help: "Mark what differs as wanted, so that the next pass brings it.")
  var repair = false

  @Option(
    help: ArgumentHelp("Read at most so many bytes a second: 100MiB.", valueName: "bytes"))
  var rate: String?

  @Flag(help: "Read the source and the standby in full, with the next pass.")
  var source = false

  @Flag(help: "With --source: leave the request and end.")
  var noWait = false

  @Flag(help: "Print JSON.")
  var json = false

  func validate() throws {
    if source, sample != nil || disk != nil || point != nil || repair || rate != nil {
      throw ValidationError("--source reads all of the newest point: it goes without other choices")
    }
    if noWait, !source { throw ValidationError("--no-wait goes with --source") }
    if let sample, Self.share(sample) == nil {
      throw ValidationError("--sample takes a share above 0% and at most 100%, such as 5%")
    }
    if let rate, Self.bytes(rate) == nil {
      throw ValidationError("--rate takes a size such as 100MiB")
    }
    if point != nil, sample != nil || disk != nil || repair {
      throw ValidationError("--point verifies all of a point: it goes without --sample, --disk and --repair")
    }
    if seed != nil, sample == nil { throw ValidationError("--seed goes with --sample") }
  }

  func run() async throws {
    try await Failure.explaining {
      let (found, disks) = try standby.find()
      if source {
        return try await SourceProof.request(found, json: json, waits: !noWait, showsProgress: !json)
      }
      var request = VerifyRequest(choice)
      request.repairs = repair
      request.bytesPerSecond = rate.flatMap(Self.bytes)
      if let disk { request.disk = try Self.choose(disk, from: disks) }
      let job = request
      let began = SystemTime().wallTime()
      if let point, let reference = try older(point, in: found.catalog) {
        return try await verify(reference, of: found, job, from: began)
      }
      let outcome = try await VerifyRun(found: found).run { store, vm, progress throws(StandbyError) in
        try store.verify(vm: vm, job, progress: progress)
      }
      let output = VerifyOutput(outcome, found, choice: job.choice, repairs: repair, from: began)
      if json {
        Terminal.say(try JSONText.encode(output) + "\n")
      } else {
        for line in output.lines { Terminal.say(line + "\n") }
      }
      try Self.end(with: outcome)
    }
  }

  /// Nil when it is the newest one.
  private func older(_ text: String, in catalog: Catalog) throws -> PointReference? {
    guard let found = catalog.points.first(where: { "\($0.reference)" == text }) else {
      let known = catalog.points.map { "\($0.reference)" }.joined(separator: ", ")
      throw Failure.exit(
        .usage, "recovery point \(SafeText.printable(text, limit: 64)) is not kept: there are \(known)")
    }
    return found.reference == catalog.newest?.reference ? nil : found.reference
  }

  private func verify(
    _ reference: PointReference, of found: StandbySearch.Found, _ job: VerifyRequest, from began: WallTime
  ) async throws {
    let verdict = Mutex<PointVerdict?>(nil)
    let outcome = try await VerifyRun(found: found).run { store, vm, progress throws(StandbyError) in
      let found = try store.verify(vm: vm, point: reference, job, progress: progress)
      verdict.withLock { $0 = found }
      return found?.disks
    }
    guard let verdict = verdict.withLock({ $0 }) else { return }
    let output = VerifyOutput(
      outcome, found, choice: job.choice, repairs: false, from: began, older: verdict)
    if json {
      Terminal.say(try JSONText.encode(output) + "\n")
    } else {
      for line in output.lines { Terminal.say(line + "\n") }
    }
    switch verdict.answer {
    case .right: return
    case .damaged: throw Failure.silent(.badData)
    case .inconclusive: throw Failure.silent(.inputOutput)
    }
  }

  /// Ends with the code that stands for what was found.
  static func end(with outcome: VerifyOutcome) throws {
    switch outcome.verdict {
    case .identical: return
    case .differing: throw Failure.silent(.failed)
    case .inconclusive: throw Failure.silent(.inputOutput)
    }
  }

  private var choice: VerifyChoice {
    guard let share = sample.flatMap(Self.share), share < 1 else { return .everything }
    return .sample(share: share, seed: seed ?? UInt64.random(in: 1...UInt64(UInt32.max)))
  }

  /// Above 0, at most 1; nil for anything else.
  static func share(_ text: String) -> Double? {
    guard text.hasSuffix("%"), let percent = Double(text.dropLast()), percent > 0, percent <= 100 else {
      return nil
    }
    return percent / 100
  }

  private static func bytes(_ text: String) -> Int64? {
    AmountText.bytes(text).flatMap { $0 >= 4096 ? $0 : nil }
  }

  static func choose(_ name: String, from disks: [DiskReport]) throws -> DiskID {
    let matches = disks.filter { $0.isCalled(name) }
    guard matches.count == 1, let match = matches.first else {
      let known = disks.map { "\($0.disk.slot) (\($0.disk.disk))" }.joined(separator: ", ")
      throw Failure.exit(
        .usage, "\(SafeText.printable(name)) means \(matches.count) disks of this VM: it has \(known)")
    }
    return match.disk.disk
  }
}

/// Runs a verification on a thread of its own and shows how far it is.
struct VerifyRun {
  private static let secondsBetweenLines: Double = 2

  let found: StandbySearch.Found

  typealias Progress = (VerifyProgress) -> Bool

  func run(
    _ body: @escaping @Sendable (StandbyStore, VMID, Progress) throws(StandbyError) -> VerifyOutcome?
  ) async throws -> VerifyOutcome {
    let (store, vm) = (found.store, found.catalog.vm)
    let outcome = try await NamedThread.run("verify") { () -> Result<VerifyOutcome?, StandbyError> in
      var next = Deadline(seconds: Self.secondsBetweenLines)
      return Result { () throws(StandbyError) in
        try body(store, vm) { progress in
          if next.hasPassed {
            next = Deadline(seconds: Self.secondsBetweenLines)
            Self.show(progress)
          }
          return true
        }
      }
    }
    guard let outcome = try outcome.get() else {
      throw Failure.exit(.badData, "the standby of \(SafeText.printable(found.catalog.displayName)) is gone")
    }
    return outcome
  }

  private static func show(_ progress: VerifyProgress) {
    let percent = Int(Double(progress.doneBytes) / Double(max(1, progress.totalBytes)) * 100)
    Terminal.complain(
      "\(progress.slot): \(percent)% (\(AmountText.size(bytes: progress.doneBytes)) of "
        + "\(AmountText.size(bytes: progress.totalBytes)))\n")
  }
}
