import Foundation
import ReplTestKit
import Testing

/// A lab whose store lies on one kind of storage, and what every kind must do.
final class StorageLab {
  static let mebibyte = 1 << 20
  static let diskMiB = [24, 4]
  static let grownMiB = 32
  /// What a larger device holds behind the disk.
  static let foreign: UInt8 = 0xA5

  let mounted: MountedTarget
  let lab: Lab
  let devices: [String]
  var random: SeededRandom

  init(_ target: StorageTarget, seed: UInt64) throws {
    random = SeededRandom(seed: seed)
    let mounted = try MountedTarget(target)
    self.mounted = mounted
    lab = try Lab(store: mounted.path)
    for size in Self.diskMiB { try lab.addDisk(subformat: "monolithicFlat", sizeBytes: size * Self.mebibyte) }
    try lab.writeVMX()
    // Room for growth where the device is larger; else exactly what the disk will have in the end.
    let sizes = [Self.grownMiB, Self.diskMiB[1]].map { ($0 + (target.isLarger ? 3 : 0)) * Self.mebibyte }
    devices =
      try target.isDevice ? sizes.map { try mounted.makeDevice(sizeBytes: $0, fill: Self.foreign) } : []
    try lab.configure(receiver: Self.configuration(devices))
    for (slot, device) in devices.enumerated() {
      try Tool.must([
        Tool.receiver, "storage", "claim", device, "--vm", lab.vmName, "--disk", "scsi0:\(slot)", "--yes",
        "--config", lab.receiverConfig,
      ])
    }
  }

  private static func configuration(_ devices: [String]) -> String {
    if devices.isEmpty { return "" }
    let pairs = devices.enumerated().map { "\"scsi0:\($0.offset)\": \($0.element)" }
    return "vms:\n  - vm: web01\n    devices: {\(pairs.joined(separator: ", "))}"
  }

  // MARK: - The source

  func source(_ disk: Int) -> FlatDisk {
    FlatDisk(path: "\(lab.sourceFolder)/web01\(disk == 0 ? "" : "_\(disk)")-flat.vmdk")
  }

  /// Writes so many pages that do not compress, anywhere on a disk.
  func scribble(_ disk: Int, pages count: Int, upTo limitMiB: Int? = nil) throws {
    let last = (limitMiB ?? Self.diskMiB[disk]) * Self.mebibyte / 4096
    let pages = (0..<count).map { _ in Int(random.next() % UInt64(last)) }
    try source(disk).write(pages: pages) { _ in noise() }
  }

  func fill(_ disk: Int, pages: Range<Int>) throws {
    try source(disk).write(pages: Array(pages)) { _ in noise() }
  }

  func clear(_ disk: Int, pages: Range<Int>) throws {
    try source(disk).write(pages: Array(pages)) { _ in [UInt8](repeating: 0, count: 4096) }
  }

  private func noise() -> [UInt8] {
    var page: [UInt8] = []
    page.reserveCapacity(4096)
    while page.count < 4096 { withUnsafeBytes(of: random.next()) { page += $0 } }
    return page
  }

  func grow() throws {
    let size = Self.grownMiB * Self.mebibyte
    try Tool.must(["truncate", "-s", "\(size)", source(0).path])
    let descriptor = "\(lab.sourceFolder)/\(lab.diskNames[0])"
    let text = try String(contentsOfFile: descriptor, encoding: .utf8)
    let old = "RW \(Self.diskMiB[0] * Self.mebibyte / 512) "
    #expect(text.contains(old))
    try text.replacingOccurrences(of: old, with: "RW \(size / 512) ")
      .write(toFile: descriptor, atomically: true, encoding: .utf8)
  }

  // MARK: - The standby

  /// Every byte, and nothing behind the disk where a device is larger.
  func expectSame(_ context: String) throws {
    if devices.isEmpty { return try lab.expectIdentical(context) }
    for (disk, device) in devices.enumerated() {
      let wanted = try source(disk).contents()
      let descriptor = try String(contentsOfFile: try lab.standbyDisk(disk), encoding: .utf8)
      #expect(descriptor.contains("createType=\"fullDevice\""), "\(context)")
      #expect(
        descriptor.contains("RW \(wanted.count / 512) FLAT \"\(device)\" 0"), "\(context): \(descriptor)")
      let handle = try #require(FileHandle(forReadingAtPath: device))
      let found = try #require(try handle.readToEnd())
      #expect(found.prefix(wanted.count) == wanted, "disk \(disk) \(context)")
      // A disk that grew may have taken what was behind it before.
      let behind = max(wanted.count, disk == 0 ? Self.grownMiB * Self.mebibyte : 0)
      #expect(found.dropFirst(behind).allSatisfy { $0 == Self.foreign }, "behind disk \(disk) \(context)")
    }
  }

  /// Fills the store until less than `leftMiB` is free there.
  func fillStore(leftMiB: Int) throws {
    let free = try Tool.must(["df", "--output=avail", "-B1", mounted.path]).split(separator: "\n").last
    let bytes = try #require(free.flatMap { Int($0.filter(\.isNumber)) }) - leftMiB * Self.mebibyte
    let count = max(1, bytes / Self.mebibyte)
    // Not with fallocate, which not every storage has; from noise, for some compress.
    try Tool.must(["dd", "if=/dev/urandom", "of=\(ballast)", "bs=1M", "count=\(count)", "status=none"])
    try Tool.must(["sync", "-f", mounted.path])
  }

  func emptyStore() throws {
    try FileManager.default.removeItem(atPath: ballast)
    try Tool.must(["sync", "-f", mounted.path])
  }

  private var ballast: String { "\(mounted.path)/ballast" }

  /// A pass that must not commit; what the sender says of it.
  func refusedPass() throws -> String {
    let result = try lab.startPass().finish(seconds: 60)
    #expect(result.status != 0, "\(result.output)")
    return result.errors + result.output
  }
}
