import ReplIO
import ReplModel
import ReplVMDK

/// One way to make all disks of a VM stand still.
///
/// Undoing is not part of it: what a provider makes is in the record before it is made, and `FreezeUndo`
/// takes it away, at the release as after a crash.
protocol FreezeProvider {
  /// Refuses what cannot be frozen this way, before any hook or command is run, and enters what will have
  /// to be undone.
  mutating func prepare(_ record: inout FreezeRecord, _ commands: FreezeCommands) throws(SourceError)

  /// Makes the disks stand still, and nothing more: a guest may be held meanwhile. Changes of the record are
  /// to be written before what they stand for is made.
  mutating func freeze(_ record: inout FreezeRecord, _ steps: FreezeSteps) throws(SourceError)

  /// Opens what stands still, after the guest was let go.
  mutating func open(_ record: inout FreezeRecord, _ steps: FreezeSteps) throws(SourceError) -> FrozenDisks
}

/// What a provider works with.
struct FreezeSteps {
  let commands: FreezeCommands
  let time: any TimeSource
  let report: @Sendable (FreezeEvent) -> Void
  /// Nil when there is nothing to undo.
  let entry: FreezeLedger.Entry?

  func write(_ record: FreezeRecord) throws(SourceError) {
    do throws(IOError) { try entry?.write(record) } catch { throw .io(error) }
  }
}

/// The VM that is frozen, as it was read before.
struct FreezeSubject {
  let request: ViewRequest
  let folder: SourceFolder
  let vmx: SourceFolder.VMX

  init(_ request: ViewRequest) throws(SourceError) {
    self.request = request
    folder = try SourceFolder(vmxPath: request.vmxPath)
    vmx = try folder.readVMX()
  }

  var path: String { request.vmxPath }

  func openDisks() throws(SourceError) -> SourceFolder.OpenDisks {
    try folder.openDisks(vmx, request, opening: request.opening)
  }

  /// VMware rewrites the VMX of a running VM now and then; only what names the disks must have stayed.
  func checkSameDisks() throws(SourceError) {
    let now = try folder.readVMX()
    guard now.bytes != vmx.bytes else { return }
    let (before, after) = (try folder.namedDisks(vmx, request), try folder.namedDisks(now, request))
    guard now.vm == vmx.vm, before.disks == after.disks else {
      throw .changed(path: path, what: "the VMX names other disks than before the freeze")
    }
  }
}

/// Disks that stand still.
struct FrozenDisks {
  let disks: SourceFolder.OpenDisks
  /// At this moment or a little later.
  let frozenAt: WallTime
  /// Crash-consistent, or fuzzy.
  let label: PointLabel
  let vmx: [UInt8]
  let nvram: [UInt8]?
  let stillness: Stillness
  /// See `VMView.cloneSeconds`.
  var cloneSeconds: Double?
  var clones: ViewClones?
}
