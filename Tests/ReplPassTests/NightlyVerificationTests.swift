import ReplDigest
import ReplIO
import ReplModel
import ReplStandby
import ReplTestKit
import Synchronization
import Testing

@testable import ReplPass

/// The thread that reads standbys again each night.
@Suite("Nightly verification") struct NightlyVerificationTests {
  private static let vm = VMID(high: 0x564D, low: 3)
  private static let key = DigestKey(
    id: KeyID(high: 1, low: 1), bytes: PageMaker.random(byteCount: 32, seed: 7))!
  private let machine = SimulatedMachine(disks: ["store", "state", "store2", "state2"])

  /// Ends within a slice, whatever a test does.
  private func run(
    _ service: TargetService, window: String, until condition: () -> Bool
  ) throws -> Bool {
    let verification = NightlyVerification(
      service: service,
      settings: VerifySettings(
        share: 1, window: try #require(DailyWindow(window)), bytesPerSecond: 1 << 30))
    let thread = NamedThread.start("verify-test") { verification.run() }
    let deadline = Deadline(seconds: 20)
    let nobody = Monitor(false)
    while !condition(), !deadline.hasPassed { _ = nobody.wait(seconds: 0.02) { $0 ? true : nil } }
    verification.end()
    thread.join()
    return condition()
  }

  private func makeStore(
    _ suffix: String = "", vm: VMID = Self.vm,
    wrap: (any StorageDirectory) -> any StorageDirectory = { $0 }
  ) throws -> StandbyStore {
    _ = try StandbyStore.initialize(root: machine.disk("store\(suffix)"), time: ManualTime())
    let store = try StandbyStore(
      root: wrap(machine.disk("store\(suffix)")), state: machine.disk("state\(suffix)"),
      receiver: ReceiverID(high: 7, low: 7), time: SystemTime(), files: NoFiles(), freeSpaceFloorBytes: 0)
    try store.rememberKey(Self.key)
    let standby = try store.create(vm: vm, displayName: "web01", owner: "primary")
    let disk = PassOffer.Disk(
      disk: DiskID(high: 1, low: 1), slot: DiskSlot("scsi0:0")!,
      grid: PageGrid(sizeBytes: 3 << 20, pageSizeBytes: 4096)!, keyID: Self.key.id,
      facts: DiskFacts(entries: []))
    let pass = try standby.beginPass(
      PassOffer(
        vm: vm, displayName: "web01", owner: "primary", pass: .random(),
        frozenAt: WallTime(millisecondsSince1970: 0), label: .crashConsistent, epoch: nil, disks: [disk],
        vmxHash: nil, nvramHash: nil))
    let root = try pass.digestView(disk: 0).root()
    _ = try pass.commit(CommitClaims(disks: [.init(root: root, dataPages: 0, zeroPages: 0)]))
    try pass.settle()
    return store
  }

  private func service(
    _ stores: StandbyStore..., report: @escaping @Sendable (TargetService.Event) -> Void
  ) throws -> TargetService {
    let named = stores.enumerated().map { (name: "store\($0.offset)", store: $0.element) }
    let service = TargetService(
      receiver: ReceiverID(high: 7, low: 7),
      settings: TargetSettings(productVersion: "0.1.0", rpoSeconds: 900, storeOfPeer: [:]),
      stores: StoreShelf(named),
      keys: TargetKeys(directory: try machine.disk("state").createDirectory("sender-keys")),
      board: try StatusBoard(directory: nil), time: SystemTime(), report: report)
    try service.loadBoard()
    return service
  }

  @Test("inside the window everything is read, the board says when, and a difference is reported and suspect")
  func inside() throws {
    let store = try makeStore()
    let found = Mutex<[VerifyReport.Verdict]>([])
    let service = try service(store) { event in
      if case .verified(_, let outcome, _) = event { found.withLock { $0.append(outcome.verdict) } }
    }
    #expect(
      try run(service, window: "00:00-00:00") { service.board[Self.vm]?.verification?.completeAt != nil })
    #expect(found.withLock { $0 } == [.identical])

    // The share of this night is done: another store's eyes, another night.
    let name = try #require(try store.standbys().first).directory
    let file = try machine.disk("store").openDirectory(name).openFile("scsi0-0-flat.vmdk", .readWrite)
    try [UInt8(1)].withUnsafeBytes { try file.write($0, at: 2 << 20) }
    try file.sync()
    let maps = try machine.disk("state").openDirectory("maps")
    for standby in try maps.entryNames() { try maps.openDirectory(standby).removeFile("verify-round") }
    #expect(
      try run(service, window: "00:00-00:00") { found.withLock { $0.contains(.differing) } })
    try service.loadBoard()
    #expect(service.board[Self.vm]?.state == .suspect)
    #expect(service.board[Self.vm]?.suspicion?.pageCount == 1)
  }

  @Test("outside the window nothing is read; a window over midnight is one night")
  func outside() throws {
    let store = try makeStore()
    let service = try service(store) { _ in }
    let now = LocalTime(SystemTime().wallTime()).minute
    let start = (now + 120) % 1440
    let closed = try #require(DailyWindow(startMinute: start, endMinute: (start + 60) % 1440))
    var looks = 0
    #expect(
      try run(service, window: "\(closed)") {
        looks += 1
        return looks > 10
      })
    #expect(service.board[Self.vm]?.verification == nil)

    let verification = NightlyVerification(
      service: service,
      settings: VerifySettings(share: 1, window: DailyWindow("22:00-05:00")!, bytesPerSecond: 1 << 20))
    // Every minute of two days: two or three nights or parts of them, by where this machine is.
    var nights: [String] = []
    for minute in 0..<2880 {
      let time = WallTime(millisecondsSince1970: 1_795_305_600_000 + Int64(minute) * 60_000)
      guard let night = verification.night(at: time) else { continue }
      if nights.last != night { nights.append(night) }
    }
    #expect((2...3).contains(nights.count) && Set(nights).count == nights.count, "\(nights)")
  }

  @Test("a store that does not answer keeps no other from being verified, nor the daemon from ending")
  func hangingStore() throws {
    let gate = GatedDirectory.Gate()
    let other = VMID(high: 0x564D, low: 4)
    let hanging = try makeStore { GatedDirectory($0, gate: gate) }
    let service = try service(hanging, makeStore("2", vm: other)) { _ in }
    gate.shut(try #require(try hanging.standbys().first).directory)
    defer { gate.open() }
    #expect(
      try run(service, window: "00:00-00:00") {
        gate.waiting > 0 && service.board[other]?.verification?.completeAt != nil
      })
    #expect(service.board[Self.vm]?.verification == nil)
  }

  @Test("a standby that cannot be verified is told once a night for each cause, and tried ever more seldom")
  func troubles() {
    var troubles = VerifyTroubles()
    troubles.begin(night: "2026-11-28")
    var (now, tries, told): (Int64, Int, [String]) = (0, 0, [])
    // Eight hours, a look every half minute, of which every tenth finds another cause.
    for look in 0..<960 {
      now = Int64(look) * 30_000_000_000
      guard troubles.mayTry(Self.vm, now: now) else { continue }
      tries += 1
      let cause = tries.isMultiple(of: 10) ? "b" : "a"
      if troubles.note(Self.vm, cause: cause, now: now) { told.append(cause) }
    }
    #expect(told == ["a", "b"] && (8...16).contains(tries), "\(tries)")
    #expect(troubles.mayTry(VMID(high: 1, low: 1), now: now), "others are not concerned")
    troubles.noteSuccess(Self.vm)
    #expect(troubles.mayTry(Self.vm, now: now))
    let again = troubles.note(Self.vm, cause: "a", now: now)
    #expect(!again)
    troubles.begin(night: "2026-11-29")
    let tomorrow = troubles.note(Self.vm, cause: "a", now: now)
    #expect(tomorrow)
  }
}
