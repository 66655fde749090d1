import Foundation
import ReplDigest
import ReplIO
import ReplModel
import ReplStandby
import ReplTestKit
import Testing

@testable import ReplFailover

/// What failover does with a point whose disks were read while the VM wrote to them.
@Suite struct FuzzyTests {
  private static let vm = VMID(high: 0x564D, low: 9)
  private let folder: String
  private let store: StandbyStore

  init() throws {
    folder = NSTemporaryDirectory() + "vmrepl-fuzzy-\(UUID().uuidString)"
    for name in ["store", "state"] {
      try FileManager.default.createDirectory(
        atPath: "\(folder)/\(name)", withIntermediateDirectories: true)
    }
    let root = try PosixDirectory(path: "\(folder)/store")
    _ = try StandbyStore.initialize(root: root, time: ManualTime())
    store = try StandbyStore(
      root: root, state: try PosixDirectory(path: "\(folder)/state"), receiver: ReceiverID(high: 1, low: 1),
      time: ManualTime(), files: RegistrationFiles(networks: [:], displayNameSuffix: ""),
      freeSpaceFloorBytes: 0)
  }

  /// A pass of one disk that is all zero.
  private func replicate(_ label: PointLabel) throws {
    let key = try DigestKey.generate()
    try store.rememberKey(key)
    let standby =
      try store.open(vm: Self.vm) ?? store.create(vm: Self.vm, displayName: "web01", owner: "primary")
    let disk = PassOffer.Disk(
      disk: DiskID(high: 1, low: 1), slot: DiskSlot("scsi0:0")!,
      grid: PageGrid(sizeBytes: 1 << 20, pageSizeBytes: 4096)!, keyID: key.id, facts: DiskFacts(entries: []))
    let pass = try standby.beginPass(
      PassOffer(
        vm: Self.vm, displayName: "web01", owner: "primary", pass: .random(),
        frozenAt: WallTime(millisecondsSince1970: 1_799_999_400_000), label: label, epoch: nil, disks: [disk],
        vmxHash: nil, nvramHash: nil))
    let root = try pass.digestView(disk: 0).root()
    _ = try pass.commit(CommitClaims(disks: [.init(root: root, dataPages: 0, zeroPages: 0)]))
    try pass.settle()
  }

  private var failover: Failover {
    Failover(
      commands: FailoverCommands(register: nil, powerOn: nil, deadlineSeconds: 10), time: ManualTime())
  }

  private func find() throws -> StandbySearch.Found { try StandbySearch(stores: [store]).find("web01") }
  // Best effort: a leftover in the temporary folder harms nobody.
  private func end() { try? FileManager.default.removeItem(atPath: folder) }

  @Test("the plan shows the label; a fuzzy point is refused with its age, what that means and what to do")
  func plan() throws {
    defer { end() }
    for label in PointLabel.allCases {
      try replicate(label)
      let plan = try failover.plan(try find())
      #expect(plan.lines.contains { $0.hasPrefix("recovery point ") && $0.contains(", \(label.rawValue), ") })
      #expect((plan.fuzzyRefusal != nil) == (label == .fuzzy))
      #expect(plan.lines.contains { $0.hasPrefix("refused ") } == (label == .fuzzy))
      guard let refusal = plan.fuzzyRefusal else { continue }
      for part in ["10 min old", "is fuzzy", "while the VM wrote", "freeze provider", "--accept-fuzzy"] {
        #expect(refusal.contains(part), "\(refusal)")
      }
      #expect(try failover.plan(try find(), .init(acceptsFuzzy: true)).fuzzyRefusal == nil)
    }
  }

  @Test("a fuzzy point that came after the plan is refused and nothing is fenced; accepted, it is taken")
  func run() async throws {
    defer { end() }
    try replicate(.crashConsistent)
    let planned = try find()
    try replicate(.fuzzy)
    do {
      _ = try await failover.run(planned) { _ in }
      Issue.record("taken")
    } catch {
      guard case .fuzzyPoint("web01", let why) = error else { throw error }
      #expect(why.contains("recovery point 1.2"))
    }
    #expect(try find().catalog.fence == nil)
    let report = try await failover.run(try find(), .init(acceptsFuzzy: true)) { _ in }
    #expect(report.point == PointReference(epoch: Epoch(1), number: 2))
    // Begun, it goes on without being told again.
    _ = try await failover.run(try find()) { _ in }
    #expect(try find().catalog.fence?.point == report.point)
  }
}
