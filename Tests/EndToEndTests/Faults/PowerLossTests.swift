import Foundation
import Glibc
import ReplTestKit
import Testing

extension EndToEnd {
  /// The receiver's store and state on a disk that loses power at every flush, with a random part of what
  /// was written since the last one. A sample of the places here; all of them with `VMREPL_FULL_SWEEP=1`.
  @Suite(
    .needs("qemu-storage-daemon", "losetup", "mkfs.ext4", "mkfs.xfs", "fusermount3"), .needsLoopMounts)
  struct PowerLossTests {
    static let sampleCount = 12
    static let passCount = 5

    @Test(
      "rows 9 and 10: power lost at a flush, writes lost or torn: one version, never less than was told",
      arguments: ImageMount.Filesystem.allCases)
    func powerLoss(filesystem: ImageMount.Filesystem) throws {
      let seed = FaultSeed.make("power loss on \(filesystem)")
      var random = SeededRandom(seed: seed)
      let recording = try PowerLossRecording(filesystem, passes: Self.passCount, seed: seed)
      let flushes = recording.image.flushes
      #expect(flushes.count > 100, "the log must have the flushes")
      // Before the store was made there is nothing to lose.
      let places = flushes.filter { $0 >= recording.firstPlace }
      let chosen =
        FaultSeed.isFull
        ? places.flatMap { [$0, $0] } : places.shuffled(using: &random).prefix(Self.sampleCount).sorted()
      var (violations, seen) = ([String](), [Int: Int]())
      for (count, place) in chosen.enumerated() {
        do {
          let version = try recording.check(place, &random, goesOn: count.isMultiple(of: 10))
          seen[version, default: 0] += 1
        } catch {
          violations.append("\(filesystem), seed \(seed), power lost before entry \(place): \(error)")
          print("VIOLATION \(violations.last ?? "")")
        }
      }
      let versions = seen.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value)" }
      print(
        "power loss on \(filesystem): \(chosen.count) crash points of \(places.count) flushes, versions "
          + "\(versions), \(violations.count) violations, seed \(seed)")
      for violation in violations { Issue.record("\(violation)") }
    }

    @Test("row 11: a disk that ignores flushes may lose a point; what is left mixed is never called right")
    func lyingDisk() throws {
      let seed = FaultSeed.make("lying disk")
      var random = SeededRandom(seed: seed)
      let recording = try PowerLossRecording(.ext4, passes: Self.passCount, seed: seed)
      let places = recording.image.flushes.filter { $0 >= recording.firstPlace }
      let chosen = places.shuffled(using: &random).prefix(FaultSeed.isFull ? 200 : Self.sampleCount).sorted()
      var seen: [PowerLossRecording.AfterLie: Int] = [:]
      for place in chosen { seen[try recording.lie(before: place, &random), default: 0] += 1 }
      print("lying disk: \(seen), seed \(seed)")
      #expect(seen[.calledRight] == nil, "seed \(seed)")
    }
  }
}

/// Passes onto a logged disk, and what a power loss at any moment of them leaves.
final class PowerLossRecording {
  private let lab: Lab
  private let vm: VersionedVM
  private let folder: String
  let image: PowerLossImage
  /// Where in the log each version was acknowledged; index 0 is the first version.
  private let acknowledged: [Int]
  let firstPlace: Int
  private let site: String

  init(_ filesystem: ImageMount.Filesystem, passes: Int, seed: UInt64) throws {
    folder = try ImageMount.makeFolder()
    lab = try Lab(in: folder)
    vm = try VersionedVM(lab, seed: seed)
    site = folder + "/fs"
    try FileManager.default.createDirectory(atPath: site, withIntermediateDirectories: true)
    let disk = try LoggedDisk(filesystem, sizeMiB: 512, mountPoint: site)
    try FileManager.default.removeItem(atPath: lab.storeFolder)
    for name in ["dr", "receiver-state"] {
      try FileManager.default.createDirectory(atPath: "\(site)/\(name)", withIntermediateDirectories: true)
      try Tool.must(["chmod", "700", "\(site)/\(name)"])
      try FileManager.default.createSymbolicLink(
        atPath: "\(lab.folder)/\(name)", withDestinationPath: "\(site)/\(name)")
    }
    try lab.configure(receiver: VersionedVM.retention)
    try Tool.must(["sync", "-f", site])
    firstPlace = try disk.entryCount()
    try lab.startReceiver()
    var places: [Int] = []
    for pass in 1...passes {
      try vm.writeVersion(pass)
      try lab.pass()
      places.append(try disk.entryCount())
      // A recovery's writes are lost as well.
      if pass == passes - 1 {
        try lab.stopReceiver(SIGKILL)
        try lab.startReceiver()
      }
    }
    try lab.stopReceiver()
    acknowledged = places
    let log = try disk.close()
    try Tool.must(["cp", "--sparse=auto", disk.startImage, folder + "/stable"])
    image = try PowerLossImage(log, path: folder + "/stable")
  }

  deinit {
    lab.receiver?.signal(SIGKILL)
    ImageMount.undo(folder)
  }

  /// Lets the power go before the entry `place` is done, lets the receiver recover, and answers the version
  /// that it has. `goesOn`: also that the source's newest version comes through afterwards.
  func check(_ place: Int, _ random: inout SeededRandom, goesOn: Bool) throws -> Int {
    try image.cut(before: place, to: folder + "/cut", &random)
    try Tool.must(["mount", "-o", "loop", folder + "/cut", site])
    defer { umount2(site, Int32(MNT_DETACH)) }
    try lab.startReceiver()
    // Nothing is lost by a kill: the page cache stays.
    defer { try? lab.stopReceiver(SIGKILL) }
    try eventually("recovery") { lab.receiver?.errors.contains(" recovered standbys=") == true }
    let told = acknowledged.count { $0 <= place }
    let standby: VersionedVM.Standby
    do { standby = try vm.standby() } catch {
      throw ToolFailure(text: "\(error)\nreceiver: \(lab.receiver?.errors ?? "-")")
    }
    guard (told...told + 1).contains(standby.version), Int(standby.number) == standby.version else {
      throw ToolFailure(
        text: "version \(told) was told, the standby is \(standby)\nreceiver: \(lab.receiver?.errors ?? "-")")
    }
    try vm.checkPoints(newest: standby.version)
    if goesOn {
      try lab.pass()
      try eventually("the newest version") { (try? vm.standby().version) == acknowledged.count }
    }
    return standby.version
  }

  /// What is left of a standby on a disk that only claimed to have flushed.
  enum AfterLie: Hashable {
    /// The filesystem cannot be mounted.
    case noFilesystem
    /// The receiver says that something is wrong.
    case told
    /// One version, perhaps an older one than was told.
    case oneVersion
    /// A mixture that is taken for a point.
    case calledRight
  }

  func lie(before place: Int, _ random: inout SeededRandom) throws -> AfterLie {
    try image.cut(before: place, ignoring: 60, to: folder + "/cut", &random)
    guard try Tool.run(["mount", "-o", "loop", folder + "/cut", site]).status == 0 else {
      return .noFilesystem
    }
    defer { umount2(site, Int32(MNT_DETACH)) }
    defer { try? lab.stopReceiver(SIGKILL) }
    do { try lab.startReceiver() } catch { return .told }
    try eventually("recovery") { lab.receiver?.errors.contains(" recovered standbys=") == true }
    if (try? vm.standby()) != nil { return .oneVersion }
    let verified = try Tool.run([Tool.receiver, "verify", lab.vmName, "--config", lab.receiverConfig])
    // It differs, is damaged or cannot be read.
    return [1, 65, 74].contains(verified.status) ? .told : .calledRight
  }
}
