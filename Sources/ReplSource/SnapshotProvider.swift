import ReplCommand
import ReplIO
import ReplModel
import ReplVMDK

/// The provider `vmware-snapshot`: a command makes a snapshot; the VM writes to new deltas from then on, and
/// the chain below them stands still. It is opened by the names that the VMX held before.
struct SnapshotProvider: FreezeProvider {
  /// The host may write the VMX a moment after its command returned, and a network filesystem may show it
  /// later still.
  static let settleSeconds = 5.0

  let subject: FreezeSubject
  let create: CommandSpec
  let remove: CommandSpec
  private var live = SourceFolder.OpenDisks()
  private var frozenAt = WallTime(millisecondsSince1970: 0)

  init(subject: FreezeSubject, create: CommandSpec, remove: CommandSpec) {
    (self.subject, self.create, self.remove) = (subject, create, remove)
  }

  /// Disks that snapshots leave alone.
  private static func isIndependent(_ mode: String?) -> Bool {
    mode?.lowercased().hasPrefix("independent") ?? false
  }

  mutating func prepare(
    _ record: inout FreezeRecord, _ commands: FreezeCommands
  ) throws(SourceError) {
    live = try subject.openDisks()
    try refuseForeign()
    if let disk = live.disks.first(where: { Self.isIndependent($0.mode) }),
      let evidence = try RunningEvidence(folder: subject.folder).find(disks: live.images)
    {
      throw .cannotFreeze(
        path: subject.path,
        why: "disk \(disk.disk.slot) is independent, so that snapshots leave it out, and the VM is running "
          + "(\(evidence)): exclude the disk, make it dependent, or use the freeze provider "
          + "reflink or command"
      )
    }
    var before: [String: String] = [:]
    for disk in live.disks { before[disk.disk.slot.description] = disk.fileName }
    record.snapshot = FreezeRecord.Snapshot(
      remove: commands.filled(remove), disksBefore: before, deltas: [], mayComeLate: true)
  }

  private func refuseForeign() throws(SourceError) {
    guard subject.request.freeze.foreignSnapshots == .refuse else { return }
    let list = try SnapshotList(of: subject.folder)
    var what: String?
    if let names = list?.names, !names.isEmpty {
      let shown = names.prefix(4).map { "\"\(SafeText.printable($0, limit: 80))\"" }.joined(separator: ", ")
      what = "the VM has \(names.count) snapshot(s) that are not of this freeze: \(shown)"
    } else if list?.needsConsolidation == true {
      what = "the VM's disks need consolidation"
    } else if let disk = live.disks.first(where: { $0.image.links.count > 1 }) {
      what =
        "disk \(disk.disk.slot) is a delta (\(SafeText.printable(disk.fileName))) although no snapshot is "
        + "listed: a linked clone, or what a backup program left"
    }
    guard let what else { return }
    throw .notFrozen(
      path: subject.path,
      why: "\(what): remove or consolidate them, or set freeze.foreign_snapshots: allow")
  }

  mutating func freeze(_ record: inout FreezeRecord, _ steps: FreezeSteps) throws(SourceError) {
    frozenAt = steps.time.wallTime()
    // One that fails may have failed on the way back, while the host goes on.
    try steps.commands.run(steps.commands.filled(create), .create)
    record.snapshot?.mayComeLate = false
  }

  func open(_ record: inout FreezeRecord, _ steps: FreezeSteps) throws(SourceError) -> FrozenDisks {
    do throws(SourceError) { record.snapshot?.deltas = try switched() } catch {
      // Whatever the command made is to go, although nothing here shows it.
      do throws(SourceError) { try steps.commands.run(steps.commands.filled(remove), .remove) } catch {
        steps.report(FreezeEvent(.warning, .remove, "\(error)"))
        record.snapshot?.mayComeLate = true
      }
      throw error
    }
    try steps.write(record)
    // By the old names; opened anew, because the last writes reached them with the snapshot.
    let frozen = try subject.folder.openDisks(
      subject.vmx, subject.request, opening: subject.request.opening)
    let stillness = Stillness(of: frozen, vmxPath: subject.path, watchesLocks: false)
    return FrozenDisks(
      disks: frozen, frozenAt: frozenAt, label: .crashConsistent, vmx: subject.vmx.bytes,
      nvram: try subject.folder.readNVRAM(subject.vmx),
      stillness: stillness.watching(frozen, subject.request.opening))
  }

  /// The names of the deltas that the VM writes to now.
  private func switched() throws(SourceError) -> [String] {
    let end = Deadline(seconds: Self.settleSeconds)
    while true {
      do throws(SourceError) { return try deltas() } catch {
        if end.hasPassed { throw error }
      }
      Pause.milliseconds(200)
    }
  }

  private func deltas() throws(SourceError) -> [String] {
    let named = try subject.folder.namedDisks(try subject.folder.readVMX(), subject.request)
    var names: [String] = []
    for disk in live.disks where !Self.isIndependent(disk.mode) {
      guard let now = named.disks.first(where: { $0.slot == disk.disk.slot }) else {
        throw notSwitched(disk, "the VMX names no disk there any more")
      }
      guard now.fileName != disk.fileName else {
        throw notSwitched(disk, "the VMX still names \(SafeText.printable(now.fileName))")
      }
      let chain = try subject.folder.open(now, subject.request.opening)
      // By identity of the file: the chain spells its name as its hint does. Right below: a snapshot that
      // somebody else made meanwhile would hide writes from the view.
      let base = disk.image.links.first?.files.first?.status
      let below = chain.links.dropFirst().first?.files.first?.status
      guard let base, let below, (base.device, base.inode) == (below.device, below.inode)
      else {
        throw notSwitched(
          disk,
          "\(SafeText.printable(now.fileName)) is not the delta right above "
            + SafeText.printable(disk.fileName)
        )
      }
      names.append(now.fileName)
    }
    return names
  }

  private func notSwitched(_ disk: SourceFolder.OpenDisk, _ what: String) -> SourceError {
    .notFrozen(
      path: subject.path,
      why: "the create command ended well, but disk \(disk.disk.slot) was not switched to a delta (\(what)): "
        + "check what freeze.create does, and that it names this VM")
  }
}
