import Foundation
import ReplDigest
import ReplIO
import ReplModel
import ReplTestKit
import Testing

@testable import ReplFailover
@testable import ReplStandby

/// A VM of one disk with a VMX, in a store on a filesystem of this machine, whose points differ.
final class FailoverBench {
  static let vm = VMID(high: 0x564D, low: 10)
  static let devicePath = "/dev/web01"
  private static let disk = DiskID(high: 1, low: 10)

  let folder: String
  let store: StandbyStore
  /// Placing files for a start fails while it is on.
  let refusesStart: Flag
  private let key: DigestKey
  /// Contents of the disk by the number of the point.
  private(set) var contents: [UInt64: [UInt8]] = [:]
  private var content: [UInt8] = []

  init(onDevice: Bool = false) throws {
    folder = NSTemporaryDirectory() + "vmrepl-failover-\(UUID().uuidString)"
    for name in ["store", "state"] {
      try FileManager.default.createDirectory(
        atPath: "\(folder)/\(name)", withIntermediateDirectories: true)
    }
    let root = try PosixDirectory(path: "\(folder)/store")
    let state = try PosixDirectory(path: "\(folder)/state")
    _ = try StandbyStore.initialize(root: root, time: ManualTime())
    key = try DigestKey.generate()
    refusesStart = Flag()
    var devices: StandbyDevices?
    if onDevice {
      try PosixDirectory(path: folder).openFile("device", .createNew).truncate(to: 1 << 20)
      devices = StandbyDevices(
        plans: [.init(vm: "web01", devices: [DiskSlot("scsi0:0")!: Self.devicePath])],
        opener: FileAsDevice(path: folder), state: state)
    }
    store = try StandbyStore(
      root: root, state: state, receiver: ReceiverID(high: 1, low: 1), time: ManualTime(),
      files: RefusingFiles(isOn: refusesStart), freeSpaceFloorBytes: 0,
      options: StoreOptions(devices: devices),
      retention: { _ in
        RetentionPolicy(last: 100, hourly: 0, daily: 0, weekly: 0, floorSeconds: 0)
      })
    try store.rememberKey(key)
  }

  /// For `defer`. Best effort: a leftover in the temporary folder harms nobody.
  func end() { try? FileManager.default.removeItem(atPath: folder) }

  var failover: Failover {
    Failover(
      commands: FailoverCommands(register: nil, powerOn: nil, deadlineSeconds: 10), time: ManualTime())
  }

  func find() throws -> StandbySearch.Found { try StandbySearch(stores: [store]).find("web01") }

  static func point(_ number: UInt64) -> PointReference { PointReference(epoch: Epoch(1), number: number) }

  func run(_ number: UInt64?, fuzzy: Bool = false, forces: Bool = false) async throws -> [String] {
    let said = Said()
    let choice = Failover.Choice(point: number.map(Self.point), acceptsFuzzy: fuzzy, forces: forces)
    _ = try await failover.run(try find(), choice) { said.add($0) }
    return said.lines
  }

  // MARK: - Passes

  /// A pass in which the disk gets `pages` filled with a byte each, and its VMX a line of its own. It is not
  /// settled with `settles` off.
  @discardableResult
  func replicate(
    _ pages: [Int: UInt8], pageCount: Int = 8, label: PointLabel = .crashConsistent, settles: Bool = true
  ) throws -> IncomingPass {
    let standby =
      try store.open(vm: Self.vm) ?? store.create(vm: Self.vm, displayName: "web01", owner: "primary")
    content += [UInt8](repeating: 0, count: pageCount * 4096 - content.count)
    for (page, byte) in pages {
      content.replaceSubrange(page * 4096..<(page + 1) * 4096, with: [UInt8](repeating: byte, count: 4096))
    }
    let number = (standby.catalog.newest?.reference.number ?? 0) + 1
    contents[number] = content
    let lines = [
      "config.version = \"8\"", "virtualHW.version = \"19\"", "displayName = \"web01\"",
      "annotation = \"\(number)\"", "",
    ]
    let vmx = Array(lines.joined(separator: "\n").utf8)
    let disk = PassOffer.Disk(
      disk: Self.disk, slot: DiskSlot("scsi0:0")!,
      grid: PageGrid(sizeBytes: Int64(content.count), pageSizeBytes: 4096)!, keyID: key.id,
      facts: DiskFacts(entries: []))
    let pass = try standby.beginPass(
      PassOffer(
        vm: Self.vm, displayName: "web01", owner: "primary", pass: .random(),
        frozenAt: WallTime(millisecondsSince1970: 1_799_999_400_000 + Int64(number)), label: label,
        epoch: nil, disks: [disk], vmxHash: SHA256Hasher.hash(vmx), nvramHash: nil))
    try pass.append(.vmx, vmx)
    for page in pages.keys.sorted() { try append(page, to: pass) }
    let root = try pass.digestView(disk: 0).root()
    _ = try pass.commit(
      CommitClaims(disks: [.init(root: root, dataPages: Int64(pages.count), zeroPages: 0)]))
    if settles { try pass.settle() }
    return pass
  }

  private func append(_ page: Int, to pass: IncomingPass) throws {
    let digester = try PageDigester(key: key)
    let bytes = content[(page * 4096)..<((page + 1) * 4096)]
    var digests = [PageDigest.zero]
    try bytes.withUnsafeBytes { bytes in
      try digests.withUnsafeMutableBufferPointer {
        try digester.digest(pages: bytes, pageSizeBytes: 4096, into: $0)
      }
      let digest = try digests.withUnsafeBufferPointer { try digester.digest(of: $0) }
      try pass.append(
        ReceivedBatch(
          diskIndex: 0, codec: .raw, runs: [PageRun(kind: .data, firstPage: Int64(page), pageCount: 1)],
          rawLength: 4096, digest: digest, payload: bytes))
    }
  }

  // MARK: - The disk

  var home: String { get throws { "\(folder)/store/\(try find().summary.directory)" } }
  private var diskPath: String {
    get throws {
      let device = "\(folder)/device"
      return FileManager.default.fileExists(atPath: device) ? device : "\(try home)/scsi0-0-flat.vmdk"
    }
  }

  /// Whether the disk is that of a point, byte for byte.
  func holds(_ number: UInt64) throws -> Bool {
    let content = try #require(contents[number])
    let found = [UInt8](try Data(contentsOf: URL(fileURLWithPath: diskPath)))
    return found.starts(with: content) && (found.count == content.count || found.count == 1 << 20)
  }

  /// As a VM that was started does it. `isSilent`: as a medium does it, without a trace in the times.
  func write(_ page: Int, _ byte: UInt8, isSilent: Bool = false) throws {
    let descriptor = open(try diskPath, O_RDWR)
    defer { close(descriptor) }
    var status = stat()
    fstat(descriptor, &status)
    let bytes = [UInt8](repeating: byte, count: 512)
    #expect(pwrite(descriptor, bytes, bytes.count, page * 4096) == bytes.count)
    if isSilent { #expect(futimens(descriptor, [status.st_atim, status.st_mtim]) == 0) }
  }
}

/// What a run said, from its thread.
private final class Said: @unchecked Sendable {
  // SAFETY: read after the run that writes it has ended.
  private(set) var lines: [String] = []
  func add(_ line: String) { lines.append(line) }
}

final class Flag: @unchecked Sendable {
  // SAFETY: set by the one thread of the test between runs.
  var isOn = false
}

private struct RefusingFiles: StandbyFilesMaking {
  let isOn: Flag

  func files(for request: StandbyFilesRequest) throws(StandbyError) -> [StandbyFile] {
    let files = try RegistrationFiles(networks: [:], displayNameSuffix: "").files(for: request)
    // A name that is refused only when it is placed.
    return isOn.isOn && request.isStartable ? files + [StandbyFile(name: "folder", bytes: [1])] : files
  }
}

/// A file in the place of a device.
private struct FileAsDevice: DeviceOpening {
  let path: String

  func open(_ path: String, isWritable: Bool) throws(IOError) -> BlockDevice {
    let file = try PosixDirectory(path: self.path).openFile("device", isWritable ? .readWrite : .read)
    return BlockDevice(file: file, sizeBytes: try file.currentSizeBytes(), sectorBytes: 512, number: 1)
  }
}
