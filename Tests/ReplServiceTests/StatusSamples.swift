import ReplModel

@testable import ReplService

/// Status documents for tests.
enum StatusSamples {
  /// 2026-11-22T12:00:00Z.
  static let now = WallTime(millisecondsSince1970: 1_795_348_800_000)

  static func time(secondsAgo: Double) -> WallTime {
    WallTime(millisecondsSince1970: now.millisecondsSince1970 - Int64(secondsAgo * 1000))
  }

  static func vm(_ number: UInt64, _ name: String, _ state: VMStatus.State) -> VMStatus {
    VMStatus(vm: VMID(high: 0, low: number), name: name, peer: "site-b", state: state, rpoSeconds: 900)
  }

  /// In time, one pass behind it.
  static var idle: VMStatus {
    var vm = vm(1, "web01", .idle)
    vm.newestPoint = VMStatus.Point(
      reference: PointReference(epoch: Epoch(1), number: 7), frozenAt: time(secondsAgo: 245.5),
      label: .crashConsistent)
    vm.lastPass = VMStatus.Pass(
      pass: PassID(high: 1, low: 1), startedAt: time(secondsAgo: 246), durationSeconds: 4.25,
      readBytes: 3 << 30, changedBytes: 1_610_612, wireBytes: 400_000)
    vm.passesCommitted = 7
    return vm
  }

  /// Late, failed, trying again.
  static var failing: VMStatus {
    var vm = vm(2, "db \"prod\"\\1\n\u{1B}[31m", .failing)
    vm.newestPoint = VMStatus.Point(
      reference: PointReference(epoch: Epoch(1), number: 3), frozenAt: time(secondsAgo: 7200),
      label: .quiesced)
    vm.lastFailure = VMStatus.Failure(
      at: time(secondsAgo: 65), phase: "connect",
      cause: "dr:7443: connection refused; is repl-receiver running?",
      remedy: .retryPass)
    vm.passesCommitted = 3
    vm.passesFailed = 9
    return vm
  }

  /// The first copy, under way.
  static var seeding: VMStatus {
    var vm = vm(3, "big", .seeding)
    vm.running = VMStatus.Running(
      pass: PassID(high: 2, low: 2), phase: "send", startedAt: time(secondsAgo: 3700), doneBytes: 512 << 30,
      totalBytes: 1 << 40, wireBytes: 200 << 30)
    return vm
  }

  /// Frozen, with a disk that seeds, one left out, one detached, a newer fuzzy point and something left
  /// behind.
  static var frozen: VMStatus {
    var vm = vm(4, "mail", .idle)
    vm.enter(point(number: 5, secondsAgo: 600, .crashConsistent))
    vm.enter(point(number: 6, secondsAgo: 5, .fuzzy))
    vm.lastFreeze = VMStatus.Freeze(provider: "reflink", heldSeconds: 12.5, guestHeldSeconds: 0.25)
    vm.leftovers = "the folder /srv/ds1/mail/.vmrepl-1-2 could not be removed"
    let slots = (0..<4).compactMap { DiskSlot(bus: .scsi, controller: 0, unit: $0) }
    vm.disks = [
      .init(slot: slots[0], disk: DiskID(high: 0, low: 1), sizeBytes: 1 << 30, state: .ready),
      .init(
        slot: slots[1], disk: DiskID(high: 0, low: 2), sizeBytes: 4 << 30, state: .seeding,
        seededBytes: 1 << 30),
      .init(slot: slots[2], disk: nil, sizeBytes: nil, state: .excluded),
      .init(slot: slots[3], disk: DiskID(high: 0, low: 4), sizeBytes: 1 << 20, state: .detached),
    ]
    return vm
  }

  /// Differences were found, and are being repaired.
  static var suspect: VMStatus {
    var vm = vm(5, "files", .suspect)
    vm.enter(point(number: 9, secondsAgo: 60, .crashConsistent))
    vm.suspicion = VMStatus.Doubt(
      since: time(secondsAgo: 3600), pageCount: 3, detail: "3 page(s) are not what replication wrote")
    vm.verification = VMStatus.Verification(
      lastAt: time(secondsAgo: 120), completeAt: nil, doneBytes: 1 << 30, totalBytes: 4 << 30)
    return vm
  }

  /// Somebody else wrote it.
  static var diverged: VMStatus {
    var vm = vm(6, "erp", .diverged)
    vm.enter(point(number: 2, secondsAgo: 90_000, .crashConsistent))
    vm.divergence = VMStatus.Doubt(
      since: time(secondsAgo: 86_400), detail: "scsi0-0-flat.vmdk: somebody else wrote it at 2026-11-21")
    return vm
  }

  private static func point(number: UInt64, secondsAgo: Double, _ label: PointLabel) -> VMStatus.Point {
    VMStatus.Point(
      reference: PointReference(epoch: Epoch(1), number: number), frozenAt: time(secondsAgo: secondsAgo),
      label: label)
  }

  static var document: StatusDocument {
    StatusDocument(
      role: .sender, version: "1.2.3", daemonRunning: true, generatedAt: now, vms: [idle, failing, seeding])
  }
}
