import ReplIO
import ReplModel

/// One disk of a standby, as its catalog and its folder show it.
public struct DiskReport: Sendable, Hashable {
  /// A file of the disk in the standby's folder, by its name; or its device, by its path.
  public struct File: Sendable, Hashable {
    public let name: String
    public let sizeBytes: Int64
    /// What it takes of the store; nil where that cannot be told.
    public let allocatedBytes: Int64?
  }

  public let disk: CatalogDisk
  /// Descriptor and data file, those that are there.
  public let files: [File]
  /// Recovery points that hold the disk, older first.
  public let points: [PointReference]
  /// Why it cannot be removed now, in one sentence; nil when it can.
  public let refusal: String?
}

extension DiskReport {
  /// Whether `name` is what a person may call the disk: its UUID, its slot or the stem of its file names.
  public func isCalled(_ name: String) -> Bool {
    name.lowercased() == "\(disk.disk)".lowercased() || name == disk.fileStem || DiskSlot(name) == disk.slot
  }
}

extension StandbyStore {
  /// The disks of a standby in the order of their slots, without its lock. Nothing without a catalog.
  public func disks(of summary: StandbySummary) throws(StandbyError) -> [DiskReport] {
    guard let catalog = summary.catalog else { return [] }
    let directory = try storing { () throws(IOError) in try root.openDirectory(summary.directory) }
    var reports: [DiskReport] = []
    for disk in catalog.disks.sorted(by: { ($0.slot, $0.fileStem) < ($1.slot, $1.fileStem) }) {
      var files: [DiskReport.File] = []
      if let device = disk.device { files.append(Self.device(device, options.devices)) }
      for name in disk.fileNames {
        if let file = try Self.file(name, in: directory) { files.append(file) }
      }
      let points = (catalog.points + (summary.pending.map { [$0] } ?? []))
        .filter { $0.disk(disk.disk) != nil }
      reports.append(
        DiskReport(
          disk: disk, files: files, points: points.map(\.reference),
          refusal: catalog.refusalToRemove(disk, pending: summary.pending).map { "\($0)" }))
    }
    return reports
  }

  /// Its path, and its size where it can be asked.
  private static func device(_ path: String, _ devices: StandbyDevices?) -> DiskReport.File {
    // One that is gone is shown all the same.
    let found = try? devices?.opener.open(path, isWritable: false)
    return DiskReport.File(name: path, sizeBytes: found?.sizeBytes ?? 0, allocatedBytes: nil)
  }

  private static func file(
    _ name: String, in directory: any StorageDirectory
  ) throws(StandbyError) -> DiskReport.File? {
    try storing { () throws(IOError) in
      guard try directory.contains(name) else { return nil }
      let file = try directory.openFile(name, .read)
      return DiskReport.File(
        name: name, sizeBytes: try file.currentSizeBytes(),
        allocatedBytes: try (file as? PosixFile)?.status().allocatedBytes)
    }
  }
}

extension Catalog {
  /// Why a disk cannot be removed; nil when it can. `pending`: a committed point that is not in the catalog
  /// yet.
  func refusalToRemove(_ entry: CatalogDisk, pending: RecoveryPoint? = nil) -> StandbyError? {
    if let fence {
      return .diskKept(
        disk: entry.disk,
        detail:
          "the VM was promoted on \(fence.at), and its folder is the running VM's: remove the disk there")
    }
    let isAttached = entry.state == .ready || pending?.disk(entry.disk) != nil
    guard !isAttached else {
      return .diskKept(
        disk: entry.disk,
        detail: "it belongs to the newest recovery point: remove it from the VM, or exclude it at the sender "
          + "(exclude_disks), and let two passes commit")
    }
    guard let holder = points.last(where: { $0.disk(entry.disk) != nil }) else { return nil }
    return .diskKept(
      disk: entry.disk,
      detail: "recovery point \(holder.reference) holds it; that point ends by retention, or drop it: "
        + "repl-receiver points drop \(vm) \(holder.reference)")
  }
}

extension Standby {
  /// Removes a disk for good that no kept point holds: one that is detached, or whose first copy is under
  /// way. Throws `.diskKept` when it must stay.
  ///
  /// The files go first and the claim on its device, then the entry: cut off anywhere, the catalog still has
  /// the entry of a disk that no point needs, and doing it again removes what is left. The other order could
  /// leave files that nothing names.
  public func removeDisk(_ id: DiskID) throws(StandbyError) {
    if case .failure(let error) = recovery { throw error }
    guard let entry = catalog.disk(id) else {
      throw .diskKept(disk: id, detail: "this standby has no such disk")
    }
    try checkFailoverRequest()
    if let refusal = catalog.refusalToRemove(entry) { throw refusal }
    try checkFence()
    try removeFiles(of: entry)
    try storing { () throws(IOError) in
      for name in StandbyLayout.mapFiles(of: id) where try maps.contains(name) { try maps.removeFile(name) }
      try maps.sync()
    }
    // The entry is what this can be done again by: it goes last.
    if entry.device != nil {
      releaseDevices()
      try store.options.devices?.claims.release(id)
    }
    try update { catalog in catalog.disks.removeAll { $0.disk == id } }
    store.clearSuspect(suspicion(of: id))
  }

  /// The descriptor before the data that it names; both are gone durably when this returns. A device keeps
  /// what is on it.
  private func removeFiles(of disk: CatalogDisk) throws(StandbyError) {
    let directory = home.directory
    if disk.device == nil,
      try storing({ () throws(IOError) in try directory.contains(disk.flatFileName) })
    {
      try checkUnused(try storing { () throws(IOError) in try directory.openFile(disk.flatFileName, .read) })
    }
    try storing { () throws(IOError) in
      for name in disk.fileNames where try directory.contains(name) {
        try directory.removeFile(name)
      }
      // Also when they were gone already: their removal may not have been durable.
      try directory.sync()
    }
  }
}

extension StandbyLayout {
  /// Everything in the state directory that is known of a disk's content.
  static func mapFiles(of disk: DiskID) -> [String] {
    [
      map(of: disk), delta(of: disk), wideMap(of: disk), seedMap(of: disk), seedPosition(of: disk),
      proofMap(of: disk),
    ]
  }
}
