import ReplIO
import ReplModel
import ReplTestKit
import Synchronization

@testable import ReplPass
@testable import ReplSource

/// Versions of the disks of a VM, a pair that brings them, and hints that know every version: what they say
/// is right, but for the lies that a test tells.
final class HintLab: Sendable {
  static let leafBytes = 1 << 20
  static let pageBytes = 4096

  struct Version {
    var images: [[UInt8]]
  }

  private struct State {
    var versions: [Version]
    /// Bytes of the first disk that the hint never tells of.
    var hidden: [ByteRange] = []
    var report: [FreezeEvent] = []
    var source = HintSettings(provider: .chain)
    var shelf: HintShelf?
  }

  let pair: Pair
  private let state: Mutex<State>

  /// The first disk has `leaves` leaves and half a page, the second one 16 pages.
  init(leaves: Int = 4) throws {
    pair = try Pair()
    var first = [UInt8](repeating: 0, count: leaves * Self.leafBytes + 2048)
    for leaf in 0..<leaves {
      let start = leaf * Self.leafBytes + 5 * Self.pageBytes
      first.replaceSubrange(
        start..<(start + 8192), with: PageMaker.random(byteCount: 8192, seed: UInt64(leaf)))
    }
    let second = PageMaker.random(byteCount: 64 << 10, seed: 99)
    state = Mutex(State(versions: [Version(images: [first, second])]))
  }

  func end() { pair.end() }

  var now: [[UInt8]] { state.withLock { $0.versions[$0.versions.count - 1].images } }
  var events: [FreezeEvent] { state.withLock { $0.report } }

  func use(_ source: HintSettings) { state.withLock { $0.source = source } }
  func hide(_ ranges: [ByteRange]) { state.withLock { $0.hidden = ranges } }

  /// A new version, in which each of these pages of the first disk has other bytes.
  func write(pages: [Int], seed: UInt64 = UInt64.random(in: 1...UInt64.max)) {
    state.withLock { state in
      var images = state.versions[state.versions.count - 1].images
      for page in pages {
        let start = page * Self.pageBytes
        let end = min(start + Self.pageBytes, images[0].count)
        let bytes = PageMaker.random(byteCount: Self.pageBytes, seed: seed &+ UInt64(page))
        images[0].replaceSubrange(start..<end, with: bytes.prefix(end - start))
      }
      state.versions.append(Version(images: images))
    }
  }

  /// Another version of any size.
  func replace(with images: [[UInt8]]) { state.withLock { $0.versions.append(Version(images: images)) } }

  /// What a pass did.
  struct Passed {
    let report: SourcePass.Report
    let outcomes: [ViewHints.Outcome]
    var refusals: [String?] { outcomes.map(\.refusal) }
  }

  /// A pass of the newest version. Without `hinted` it knows of no hints and leaves their record alone.
  func pass(hinted: Bool = true, at time: WallTime = SystemTime().wallTime()) throws -> Passed {
    let version = state.withLock { $0.versions.count - 1 }
    let view = pair.view(now.map { MemoryDisk($0) })
    guard hinted else { return Passed(report: try pair.pass(view), outcomes: []) }
    let hints = try self.hints(view, version)
    let report = try pair.pass(view, hints: hints)
    return Passed(report: report, outcomes: hints.outcomes)
  }

  func shelf() throws -> HintShelf {
    try state.withLock { $0.shelf } ?? HintShelf(state: pair.sender.disk("state"))
  }

  /// All passes have this one, as those of one daemon.
  func use(_ shelf: HintShelf) { state.withLock { $0.shelf = shelf } }

  private func hints(_ view: VMView, _ version: Int) throws -> ViewHints {
    let root = pair.sender.disk("state")
    let shelf = try shelf()
    let freezer = try ViewFreezer(directory: try root.createDirectory("freezes"), hints: shelf)
    let request = ViewRequest(vmxPath: "/nowhere/web01.vmx", hints: state.withLock { $0.source })
    return ViewHints(
      view, request, freezer, shelf, { false },
      { [self] event in state.withLock { $0.report.append(event) } },
      { [self] _ in Knowing(lab: self, version: version) })
  }

  /// Pages of a disk that differ between two versions, without those that are hidden.
  func difference(of disk: Int, from old: Int, to new: Int) -> HintedRanges {
    state.withLock { state in
      let (before, after) = (state.versions[old].images[disk], state.versions[new].images[disk])
      var ranges = HintedRanges()
      for start in stride(from: 0, to: after.count, by: Self.pageBytes) {
        let bytes = start..<min(start + Self.pageBytes, after.count)
        let page = ByteRange(offset: Int64(start), length: Int64(bytes.count))
        if disk == 0, state.hidden.contains(where: { $0.intersection(page) != nil }) { continue }
        if before[bytes] != after[bytes] { ranges.add(page) }
      }
      ranges.settle()
      return ranges
    }
  }

  /// Whether the standby holds the newest version.
  func isStandbyRight() throws -> Bool { try pair.standby()?.images == now }
}

/// Knows which version it was asked about last.
private final class Knowing: HintProvider {
  let lab: HintLab
  let version: Int

  init(lab: HintLab, version: Int) {
    self.lab = lab
    self.version = version
  }

  func answer(for disk: ViewDisk, since known: HintRecord.Disk?) -> HintAnswer {
    let token = HintRecord.Token(changeID: "\(version)")
    guard let before = known?.token.changeID.flatMap({ Int($0) }),
      let index = Pair.disks.firstIndex(of: disk.id)
    else { return HintAnswer(changed: .failure(.noRecord), token: token) }
    return HintAnswer(changed: .success(lab.difference(of: index, from: before, to: version)), token: token)
  }
}
