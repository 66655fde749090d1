import ReplIO
import ReplModel

@testable import ReplSender
@testable import ReplService
@testable import ReplSource

/// A primary as the rules see it: folders, files and who the files are, without any disk.
struct RosterFixture {
  static let moment = WallTime(millisecondsSince1970: 1_800_000_000_000)

  var vms: [String] = []
  var folders: [SenderConfig.Folder] = []
  /// What each folder's look brings; a folder without an entry holds the files beneath it.
  var failures: [Int: SourceError] = [:]
  var unread: [Int: [String]] = [:]
  /// Every VMX that is there.
  var files: [String: RosterEvidence.Reading] = [:]
  /// Files that are another one's.
  var links: [String: String] = [:]
  var before: [String: VMID] = [:]
  var gone: [VMID: GoneVM] = [:]

  static func id(_ number: UInt64) -> VMID { VMID(high: 0, low: number) }

  mutating func file(_ path: String, _ number: UInt64, name: String = "vm") {
    files[path] = .vm(Self.id(number), displayName: name)
  }

  mutating func watch(
    _ path: String, _ policy: SenderConfig.Folder.Policy, include: [String] = ["*"], exclude: [String] = []
  ) throws {
    let watched = WatchedFolder(
      path: path, include: try include.map(PathPattern.init), exclude: try exclude.map(PathPattern.init))
    folders.append(
      SenderConfig.Folder(
        watched: watched, policy: policy, intervalSeconds: 300, rpoSeconds: 450, freeze: .standard))
  }

  func decide() throws -> RosterOutcome {
    let fingerprint = "sha256:" + String(repeating: "ab", count: 32)
    var text = "receiver: {address: \"dr:7443\", fingerprint: \(fingerprint)}\n"
    text += vms.isEmpty ? "folders: [{path: /none}]\n" : "vms: [\(vms.joined(separator: ", "))]\n"
    let base = try SenderConfig.parse(text, path: "s.yaml")
    let config = base.watching(folders)
    var evidence = RosterEvidence()
    for (index, folder) in folders.enumerated() {
      if let failure = failures[index] {
        evidence.looks.append(.failed(failure))
        continue
      }
      let there = files.keys.filter { path in
        guard let relative = folder.watched.relativePath(of: path) else { return false }
        return !(unread[index] ?? []).contains { relative.hasPrefix($0 + "/") }
      }
      let found = there.sorted().map { path in
        let relative = folder.watched.relativePath(of: path) ?? path
        return FoundVM(
          vmxPath: path, relativePath: relative, isExcluded: !folder.watched.takes(relative))
      }
      evidence.looks.append(
        .contents(FolderContents(vms: found, problems: [], unread: unread[index] ?? [])))
    }
    for path in Set(files.keys).union(vms).union(before.keys) {
      evidence.readings[path] = files[path] ?? .missing
      guard files[path] != nil else { continue }
      let target = links[path] ?? path
      evidence.files[path] = .init(device: 1, inode: UInt64(bitPattern: Int64(target.hashValue)))
    }
    return RosterRules(
      config: config, evidence: evidence, before: before, goneBefore: gone, now: Self.moment
    ).decide()
  }

  /// Decides, and remembers the answer as the next decision's past.
  mutating func step() throws -> RosterOutcome {
    let outcome = try decide()
    before = outcome.claims
    gone = outcome.gone
    return outcome
  }
}

extension SenderConfig {
  /// The same with these folders.
  fileprivate func watching(_ folders: [Folder]) -> SenderConfig {
    SenderConfig(
      stateDirectory: stateDirectory, receiver: receiver, http: http, intervalSeconds: intervalSeconds,
      rpoSeconds: rpoSeconds, maximumConcurrentPasses: maximumConcurrentPasses, pageSizeBytes: pageSizeBytes,
      compression: compression, logLevel: logLevel, pathMap: pathMap, vms: vms, folders: folders,
      rescanSeconds: rescanSeconds)
  }
}

extension RosterOutcome {
  var paths: [String] { members.map(\.vm.vmxPath) }
}
