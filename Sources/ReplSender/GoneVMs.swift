import FoundationEssentials
import ReplIO
import ReplModel

/// A VM that was replicated and is not where it was: its VMX is gone, or is another VM's now.
struct GoneVM: Sendable, Codable, Hashable {
  let vm: VMID
  var name: String
  /// Where its VMX was.
  let path: String
  let at: WallTime
  /// What happened and what to do, for people.
  var cause: String
}

/// The VMs that are gone, a file each, until they come back or somebody forgets them: a standby that nobody
/// refreshes any more must not leave the status by itself.
struct GoneVMs {
  private static let directoryName = "gone"
  private static let fileLimitBytes = 64 << 10

  private let state: any StorageDirectory

  init(state: any StorageDirectory) { self.state = state }

  /// What is remembered; a file that cannot be read is left out.
  func load() -> [VMID: GoneVM] {
    // Lost memory is no reason not to start.
    guard let directory = try? state.openDirectory(Self.directoryName) else { return [:] }
    // As above.
    let names = (try? directory.entryNames()) ?? []
    var result: [VMID: GoneVM] = [:]
    for name in names where name.hasSuffix(".json") {
      // As above.
      guard let gone = try? Self.read(name, in: directory) else { continue }
      result[gone.vm] = gone
    }
    return result
  }

  private static func read(_ name: String, in directory: any StorageDirectory) throws -> GoneVM {
    let bytes = try directory.readFile(name, limitBytes: fileLimitBytes)
    return try JSONDecoder().decode(GoneVM.self, from: Data(bytes))
  }

  /// Makes the files say what `now` says, where they said `before`.
  func keep(_ now: [VMID: GoneVM], before: [VMID: GoneVM]) throws(IOError) {
    guard now != before else { return }
    let directory = try state.createDirectory(Self.directoryName)
    try state.sync()
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
    for (vm, gone) in now where before[vm] != gone {
      // Why it failed would not matter: texts are always encodable.
      guard let data = try? encoder.encode(gone) else { preconditionFailure("texts are encodable") }
      try directory.replaceFile("\(vm).json", with: Array(data))
    }
    for vm in before.keys where now[vm] == nil { try remove(vm, in: directory) }
  }

  /// Forgets one; nothing when it is not remembered.
  func forget(_ vm: VMID) throws(IOError) {
    guard try state.contains(Self.directoryName) else { return }
    try remove(vm, in: try state.openDirectory(Self.directoryName))
  }

  private func remove(_ vm: VMID, in directory: any StorageDirectory) throws(IOError) {
    guard try directory.contains("\(vm).json") else { return }
    try directory.removeFile("\(vm).json")
    try directory.sync()
  }
}
