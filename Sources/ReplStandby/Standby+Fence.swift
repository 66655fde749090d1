import ReplIO
import ReplModel

extension Standby {
  /// Raises epoch and fence, durably: from now on no pass, at no epoch, writes this standby. For failover,
  /// after which `placeFiles(startable:)` makes it startable. Doing it again changes nothing.
  ///
  /// `point` is the one that is promoted, nil the newest; durable with the fence, so that a failover that is
  /// cut off goes on to the same point. Throws the failure of the recovery when a committed point could not
  /// be brought into the disks. `leavesUnsettled`: not while the disks are as the newest point of the catalog
  /// left them; the committed point then stays in its journal for good.
  public func fence(
    reason: String, point: PointReference? = nil, leavesUnsettled: Bool = false
  ) throws(StandbyError) {
    // Written again: that the fence can be read does not say that it was durable before a crash.
    if catalog.fence != nil { return try update { _ in } }
    if case .failure(let error) = recovery {
      guard leavesUnsettled, try !hasBegunSettling() else { throw error }
    }
    let (now, epoch) = (store.time.wallTime(), Epoch(catalog.epoch.value + 1))
    let point = point ?? catalog.newest?.reference
    if let point, catalog.kept(point) == nil {
      throw .pointRefused(detail: "recovery point \(point) is not kept: see the list of points")
    }
    try update {
      $0.epoch = epoch
      $0.fence = Catalog.Fence(epoch: epoch, at: now, reason: SafeText.printable(reason), point: point)
    }
    guard try Catalog.load(from: home.privateDirectory)?.fence?.epoch == epoch else {
      throw .catalogDamaged(path: home.privateDirectory.path, detail: "the fence does not read back")
    }
    noteFence()
  }

  /// Whether a point that is not in the catalog may be in the disks, in part: the way back from it is sealed.
  public func hasBegunSettling() throws(StandbyError) -> Bool {
    if try isBetweenPoints() { return true }
    guard let newest = catalog.newest?.reference else { return false }
    return try storing { () throws(IOError) in
      try home.points.contains(StandbyLayout.undo(backTo: newest))
    }
  }

  /// Paths of the journals that are here, for messages.
  public func journalPaths() throws(StandbyError) -> [String] {
    try journalNames().map { "\(home.journals.path)/\($0)" }
  }

  /// Writes the files beside the disks anew for the point that the disks hold; `startable` at failover.
  /// Nothing without a point.
  public func placeFiles(startable: Bool) throws(StandbyError) {
    guard let kept = catalog.heldPoint else { return }
    try place(
      kept.point, vmx: try source(.vmx, of: kept), nvram: try source(.nvram, of: kept),
      disks: catalog.disks(of: kept), startable: startable)
    // Whoever starts it needs its devices.
    if startable { releaseDevices() }
  }

  /// The source's file as it was at a point; nil when the point has none.
  func source(_ file: SourceFile, of kept: KeptPoint) throws(StandbyError) -> [UInt8]? {
    guard let hash = kept.hash(of: file) else { return nil }
    return try home.sources.require(hash, file)
  }

  /// Throws, and names the file, when a kept point (nil: the one that the disks hold) cannot be started: a
  /// disk file is not there or not what the catalog says, the way to the point is not there, or the files
  /// beside the disks cannot be made. Changes nothing. `takesChanged`: also disks that somebody else wrote.
  public func checkStartable(
    _ reference: PointReference? = nil, takesChanged: Bool = false
  ) throws(StandbyError) {
    guard let kept = reference.map({ catalog.kept($0) }) ?? catalog.heldPoint else { return }
    try StartCheck(
      files: store.files, home: home, catalog: catalog, point: kept.point, takesChanged: takesChanged,
      devices: store.options.devices
    ).run()
  }

  func place(
    _ point: RecoveryPoint, vmx: [UInt8]?, nvram: [UInt8]?, disks: [CatalogDisk], startable: Bool
  ) throws(StandbyError) {
    let files = try makeFiles(point, vmx: vmx, nvram: nvram, disks: disks, startable: startable)
    for file in files {
      try storing { () throws(IOError) in try home.directory.replaceFile(file.name, with: file.bytes) }
    }
  }

  /// The files that stand beside the disks, checked and not written.
  func makeFiles(
    _ point: RecoveryPoint, vmx: [UInt8]?, nvram: [UInt8]?, disks: [CatalogDisk], startable: Bool
  ) throws(StandbyError) -> [StandbyFile] {
    let members = point.disks.compactMap { member in disks.first { $0.disk == member.disk } }
    let request = StandbyFilesRequest(
      vm: catalog.vm, displayName: catalog.displayName, slug: catalog.slug, point: point, disks: members,
      sourceVMX: vmx, sourceNVRAM: nvram, isStartable: startable)
    return try store.files.files(for: request).checked(besides: disks)
  }
}
