import ReplDigest
import ReplIO
import ReplModel

/// Makes the disks of any kept point, readable beside the standby, without disturbing replication.
///
/// The standby disk is copied as it is, even while a settling writes it, and the undo files are applied to
/// the copy afterwards: whatever the copy caught in between is in one of them, for an undo file is sealed
/// before the first of its pages is overwritten. At the end every disk's root is compared with the point's.
public struct PointExtraction {
  /// How far it is; bytes of disk and undo file dealt with.
  public struct Progress: Sendable {
    public let step: String
    public let doneBytes: Int64
    public let totalBytes: Int64
  }

  /// What came of it.
  public struct Result: Sendable {
    public let files: [String]
    /// The copies share what did not change with the standby disks.
    public let isReflink: Bool
    /// Every disk has the point's root; false where a digest key is not here, so that nobody can tell.
    public let isVerified: Bool
  }

  private let store: StandbyStore
  private let summary: StandbySummary
  private let catalog: Catalog
  private let kept: KeptPoint
  private let home: StandbyHome
  private let hold: FileLock
  private let progress: (Progress) -> Void

  /// Holds the point until the object goes. Throws `.pointRefused` when it is not kept, or damaged and not
  /// `acceptsDamage`.
  public init(
    _ reference: PointReference, of summary: StandbySummary, in store: StandbyStore,
    acceptsDamage: Bool = false,
    progress: @escaping (Progress) -> Void
  ) throws(StandbyError) {
    self.store = store
    self.summary = summary
    self.progress = progress
    let home = try storing { () throws(IOError) in try StandbyHome.open(summary.directory, in: store.root) }
    self.home = home
    hold = try store.hold(reference, of: summary, in: home)
    guard let catalog = try Catalog.load(from: home.privateDirectory), let kept = catalog.kept(reference)
    else {
      throw .pointRefused(detail: "recovery point \(reference) is not kept any more")
    }
    self.catalog = catalog
    self.kept = kept
    if catalog.fence != nil, catalog.held ?? catalog.newest?.reference != reference {
      throw .pointRefused(
        detail:
          "the standby was promoted and its disks are a running VM's: other points cannot be read beside it")
    }
    if kept.isDamaged && !acceptsDamage {
      throw .pointRefused(
        detail: "recovery point \(reference) is damaged: "
          + kept.damage.map(\.detail).joined(separator: "; ") + ": take another one, or use --force")
    }
  }

  /// Writes the disks, descriptors, NVRAM and VMX of the point into an empty directory.
  public func run(into target: any StorageDirectory) throws(StandbyError) -> Result {
    let members = catalog.disks(of: kept)
    var isReflink = true
    var files: [DiskID: any StorageFile] = [:]
    for member in members {
      let source = try source(of: member)
      let file = try storing { () throws(IOError) in try target.openFile(member.flatFileName, .createNew) }
      files[member.disk] = file
      if try !clone(source, to: file) {
        isReflink = false
        try DiskCopy(source: source, target: file, grid: member.grid) { done, total in
          progress(Progress(step: "copy \(member.fileStem)", doneBytes: done, totalBytes: total))
        }.run { () throws(StandbyError) in try freeBytes(of: target) }
      }
    }
    let chain = try UndoChain.open(
      to: kept.reference, isNewest: catalog.newest?.reference == kept.reference, in: home.points)
    let total = try chain.sizeBytes
    try chain.apply(to: { files[$0] }) { (done) throws(StandbyError) in
      progress(Progress(step: "go back", doneBytes: done, totalBytes: total))
    }
    for member in members {
      try storing { () throws(IOError) in
        try files[member.disk]?.truncate(to: member.grid.sizeBytes)
        try files[member.disk]?.sync()
      }
    }
    let isVerified = try check(files)
    let placed = try placeFiles(in: target, disks: members.map(\.inFile))
    return Result(
      files: members.map(\.flatFileName) + placed, isReflink: isReflink, isVerified: isVerified)
  }

  private func source(of member: CatalogDisk) throws(StandbyError) -> any StorageFile {
    if let path = member.device { return try device(path, of: member) }
    return try storing { () throws(IOError) in try home.directory.openFile(member.flatFileName, .read) }
  }

  /// For reading only: a pass may have it.
  private func device(_ path: String, of member: CatalogDisk) throws(StandbyError) -> any StorageFile {
    let opener: any DeviceOpening = store.options.devices?.opener ?? MachineDevices()
    let device = try Standby.opening(path) { () throws(IOError) in try opener.open(path, isWritable: false) }
    let size = max(catalog.disk(member.disk)?.grid.sizeBytes ?? 0, member.grid.sizeBytes)
    guard size <= device.sizeBytes else {
      throw .deviceRefused(path: path, detail: "it has \(device.sizeBytes) bytes, the disk \(size)")
    }
    return DeviceDisk(device, sizeBytes: size, punches: false)
  }

  /// The floor is the store's: it counts where the copies lie on its storage.
  private func freeBytes(of target: any StorageDirectory) throws(StandbyError) -> Int64 {
    try storing { () throws(IOError) in
      let free = try target.freeBytes()
      guard let target = target as? PosixDirectory, let here = home.directory as? PosixDirectory,
        try target.status().device != here.status().device
      else { return max(0, free - store.freeSpaceFloorBytes) }
      return free
    }
  }

  private func clone(_ source: any StorageFile, to file: any StorageFile) throws(StandbyError) -> Bool {
    guard let source = source as? PosixFile, let file = file as? PosixFile else { return false }
    // Whatever refuses (another filesystem, no reflink): it is copied instead.
    return (try? file.clone(from: source)) != nil
  }

  /// Compares every disk with the point's root. False where a key is missing.
  private func check(_ files: [DiskID: any StorageFile]) throws(StandbyError) -> Bool {
    let scratch = try storing { () throws(IOError) in try store.maps.createDirectory("\(catalog.standby)") }
    var isVerified = true
    for member in kept.point.disks {
      guard let file = files[member.disk], let key = try store.key(member.keyID) else {
        isVerified = false
        continue
      }
      let root = try DiskRoot(file: file, member: member, key: key, scratch: scratch).compute { done in
        progress(Progress(step: "check", doneBytes: done, totalBytes: member.grid.sizeBytes))
      }
      guard root == member.root else {
        if kept.isDamaged { return false }
        throw .pointLost(
          kept.reference,
          detail: "disk \(member.slot) was put together with root \(root), the point's is \(member.root)")
      }
    }
    return isVerified
  }

  private func placeFiles(
    in target: any StorageDirectory, disks: [CatalogDisk]
  ) throws(StandbyError) -> [String] {
    var sources: [SourceFile: [UInt8]] = [:]
    for file in SourceFile.allCases {
      if let hash = kept.hash(of: file) { sources[file] = try home.sources.require(hash, file) }
    }
    let request = StandbyFilesRequest(
      vm: catalog.vm, displayName: catalog.displayName, slug: catalog.slug, point: kept.point, disks: disks,
      sourceVMX: sources[.vmx], sourceNVRAM: sources[.nvram], isStartable: false)
    let placed = try store.files.files(for: request).checked(besides: disks)
    for file in placed {
      try storing { () throws(IOError) in try target.replaceFile(file.name, with: file.bytes) }
    }
    return placed.map(\.name)
  }
}
