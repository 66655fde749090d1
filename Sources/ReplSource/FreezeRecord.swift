import ReplModel

/// What is to be undone of one freeze, as the ledger keeps it: written before anything of it is done, and
/// shortened as it is undone. Everything in it must bear being undone twice, or without having been done.
struct FreezeRecord: Codable, Hashable, Sendable {
  /// A command with its placeholders filled in.
  struct Command: Codable, Hashable, Sendable {
    let arguments: [String]
    let deadlineSeconds: Double
  }

  /// A folder in which the freeze makes its directory of clones.
  struct CloneFolder: Codable, Hashable, Sendable {
    /// Absolute: the VM's folder, or the directory of a path mapping.
    let root: String
    /// Beneath the root; empty when it is the root.
    let name: String
    /// Tells the folder from an empty mount point that has its name.
    let inode: UInt64
  }

  /// A snapshot that the virtualisation host makes.
  struct Snapshot: Codable, Hashable, Sendable {
    let remove: Command
    /// What the VMX named before, by slot.
    let disksBefore: [String: String]
    /// What it names since; empty until that is known.
    var deltas: [String]
    /// The create command is not known to have ended, so the snapshot may come later than we look for it.
    var mayComeLate: Bool
  }

  static let currentVersion = 1

  let version: Int
  let tag: String
  /// Where the VM was, or has moved to since.
  private(set) var vmxPath: String
  let vm: VMID
  let displayName: String
  /// As the configuration calls it.
  let provider: String
  let begunAt: WallTime

  /// The guest may be frozen until this has run.
  var postThaw: Command?
  var clones: [CloneFolder] = []
  /// Since when the clones are kept for the hints of the next pass; nil while they are not.
  var keptSince: WallTime?
  var snapshot: Snapshot?
  /// The storage's snapshot may be mounted until this has run.
  var release: Command?
  /// The take command is not known to have ended, so what it makes may come after a release.
  var mayBeTaking = false
  /// The take command failed or was cut off, and the storage may go on with it by itself: what it makes is
  /// released once more before the next freeze. Absent in records of earlier versions.
  var mayComeLate: Bool?

  init(
    tag: FreezeTag, vmxPath: String, vm: VMID, displayName: String, provider: String, begunAt: WallTime
  ) {
    version = Self.currentVersion
    self.tag = tag.description
    self.vmxPath = vmxPath
    self.vm = vm
    self.displayName = displayName
    self.provider = provider
    self.begunAt = begunAt
  }

  var isSettled: Bool { postThaw == nil && clones.isEmpty && snapshot == nil && release == nil }

  /// The VM lies elsewhere now: its folder, with the clones in it, may have moved along.
  mutating func follow(to path: String) {
    let old = directory
    vmxPath = path
    let new = directory
    guard let tag = FreezeTag(tag) else { return }
    clones = clones.map { place in
      let moved = CloneFolder(root: new, name: place.name, inode: place.inode)
      return place.root == old && !place.isThere(tag) && moved.isThere(tag) ? moved : place
    }
  }

  /// The folder of the VM.
  var directory: String {
    let path = vmxPath.split(separator: "/", omittingEmptySubsequences: true).dropLast()
    return "/" + path.joined(separator: "/")
  }
}

extension FreezeRecord.CloneFolder {
  /// Whether it is the folder that it was.
  fileprivate func isThere(_ tag: FreezeTag) -> Bool {
    // What cannot be opened is not there for us.
    guard let folder = try? CloneFolder(self, tag), let status = try? folder.parent.status() else {
      return false
    }
    return status.inode == inode
  }
}
