import ReplCompression
import ReplDigest
import ReplIO
import ReplModel
import ReplTestKit

@testable import ReplStandby

/// One state of a VM at the source: contents of its disks, its files, and what the digests of all that are.
struct Image: Sendable {
  var disks: [[UInt8]]
  var vmx: [UInt8]
  var nvram: [UInt8]
}

/// The VM that the tests replicate: two disks, the first of which ends in the middle of a page.
enum Bench {
  static let vm = VMID(high: 0x564d, low: 1)
  static let peer = "primary"
  static let receiver = ReceiverID(high: 7, low: 7)
  static let diskIDs = [DiskID(high: 0xd, low: 0), DiskID(high: 0xd, low: 1)]
  static let grids = [
    PageGrid(sizeBytes: (1 << 20) + 1536, pageSizeBytes: 4096)!,
    PageGrid(sizeBytes: 96 << 10, pageSizeBytes: 4096)!,
  ]
  static let key = DigestKey(id: KeyID(high: 1, low: 1), bytes: PageMaker.random(byteCount: 32, seed: 99))!
  static let otherKey = DigestKey(
    id: KeyID(high: 2, low: 2), bytes: PageMaker.random(byteCount: 32, seed: 98))!

  static func pass(_ number: Int) -> PassID { PassID(high: 0xaa, low: UInt64(number)) }

  /// A machine with a store and a key on it, everything synced.
  static func machine() throws -> SimulatedMachine {
    let machine = SimulatedMachine(disks: ["store", "state"])
    _ = try StandbyStore.initialize(root: machine.disk("store"), time: ManualTime())
    try store(on: machine).rememberKey(key)
    return machine
  }

  static func store(
    on machine: SimulatedMachine, floor: Int64 = 0, options: StoreOptions = StoreOptions()
  ) throws -> StandbyStore {
    try StandbyStore(
      root: machine.disk("store"), state: machine.disk("state"), receiver: receiver, time: ManualTime(),
      files: PlainFiles(), freeSpaceFloorBytes: floor, options: options, retention: { _ in twoPoints })
  }

  /// The newest point and the one before it.
  static let twoPoints = RetentionPolicy(last: 2, hourly: 0, daily: 0, weekly: 0, floorSeconds: 0)

  /// The standby, made when it is missing.
  static func standby(in store: StandbyStore) throws -> Standby {
    if let standby = try store.open(vm: vm) { return standby }
    return try store.create(vm: vm, displayName: "web 01", owner: peer)
  }

  static func page(_ seed: UInt64) -> [UInt8] {
    seed % 2 == 0
      ? PageMaker.random(byteCount: 4096, seed: seed) : PageMaker.text(byteCount: 4096, seed: seed)
  }

  /// The first image: some pages at both ends and in the middle, most of it zero.
  static func firstImage() -> Image {
    var image = Image(
      disks: grids.map { [UInt8](repeating: 0, count: Int($0.sizeBytes)) },
      vmx: Array("displayName = \"web 01\"\n".utf8), nvram: [1, 2, 3])
    for page in [0, 1, 2, 7, 8, 100, 101, 102, 103, 200, 255, 256] { image.fill(0, page, UInt64(page + 10)) }
    for page in 0..<8 { image.fill(1, page, UInt64(page + 500)) }
    return image
  }

  /// Rewritten pages, pages that become zero, pages that become data, and the short last page.
  static func secondImage() -> Image {
    var image = firstImage()
    for page in [1, 101, 102, 256] { image.fill(0, page, UInt64(page + 1000)) }
    for page in [50, 51] { image.fill(0, page, UInt64(page + 2000)) }
    for page in [7, 8] { image.clear(0, page) }
    for page in [3, 20] { image.fill(1, page, UInt64(page + 3000)) }
    image.vmx += Array("memSize = \"4096\"\n".utf8)
    return image
  }

  static func thirdImage() -> Image {
    var image = secondImage()
    for page in [1, 7, 30, 256] { image.fill(0, page, UInt64(page + 4000)) }
    for page in [50, 100, 101] { image.clear(0, page) }
    for page in 0..<4 { image.clear(1, page) }
    image.nvram = [9, 9]
    return image
  }

  /// Bytes of a file of the standby.
  static func bytes(of file: any StorageFile) throws -> [UInt8] {
    let buffer = AlignedBuffer(byteCount: Int(try file.currentSizeBytes()))
    try file.read(into: buffer.bytes, at: 0)
    return [UInt8](copying: buffer.readable)
  }
}

extension Image {
  /// A disk gets larger; its new part is zero.
  mutating func grow(_ disk: Int, to sizeBytes: Int) {
    disks[disk] += [UInt8](repeating: 0, count: sizeBytes - disks[disk].count)
  }

  mutating func fill(_ disk: Int, _ page: Int, _ seed: UInt64) { put(disk, page, Bench.page(seed)) }
  mutating func clear(_ disk: Int, _ page: Int) { put(disk, page, [UInt8](repeating: 0, count: 4096)) }

  private mutating func put(_ disk: Int, _ page: Int, _ bytes: [UInt8]) {
    let end = min((page + 1) * 4096, disks[disk].count)
    disks[disk].replaceSubrange((page * 4096)..<end, with: bytes.prefix(end - page * 4096))
  }
}

/// Stands for the writers of descriptors and VMX: text that names what it was made from.
struct PlainFiles: StandbyFilesMaking {
  func files(for request: StandbyFilesRequest) throws(StandbyError) -> [StandbyFile] {
    var files = request.disks.map { disk in
      StandbyFile(
        name: disk.descriptorFileName,
        bytes: Array("RW \(disk.flatFileName) \(request.point.reference)\n".utf8))
    }
    if let nvram = request.sourceNVRAM {
      files.append(StandbyFile(name: "\(request.slug).nvram", bytes: nvram))
    }
    if let vmx = request.sourceVMX {
      let note = request.isStartable ? "# may be started\n" : "# replicated\n"
      files.append(StandbyFile(name: "\(request.slug).vmx", bytes: Array(note.utf8) + vmx))
    }
    return files
  }
}
