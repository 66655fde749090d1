import Foundation
import Glibc
import ReplIO
import ReplModel
import ReplService
import Testing

/// A lab with a VM of known versions, of which a part lies on a filesystem that can be made to fail.
final class FaultSite {
  let folder: String
  let lab: Lab
  let vm: VersionedVM
  private var mounts: [String] = []

  init(seed: UInt64 = 5) throws {
    folder = try ImageMount.makeFolder()
    lab = try Lab(in: folder)
    vm = try VersionedVM(lab, seed: seed)
    try FileManager.default.createDirectory(atPath: stateFolder, withIntermediateDirectories: true)
    try Tool.must(["chmod", "700", stateFolder])
  }

  deinit {
    lab.receiver?.signal(SIGKILL)
    for path in mounts { umount2(path, Int32(MNT_DETACH)) }
    ImageMount.undo(folder)
  }

  var stateFolder: String { "\(lab.folder)/receiver-state" }

  /// A filesystem in memory over one of the lab's folders.
  func mountMemory(over path: String, sizeKiB: Int) throws {
    try Tool.must(["mount", "-t", "tmpfs", "-o", "size=\(sizeKiB)k,mode=700", "none", path])
    mounts.append(path)
  }

  func resizeMemory(at path: String, sizeKiB: Int) throws {
    try Tool.must(["mount", "-o", "remount,size=\(sizeKiB)k", path])
  }

  /// A folder mounted over itself, so that it can be made read-only or taken away.
  func mountBind(over path: String) throws {
    try Tool.must(["mount", "--bind", path, path])
    mounts.append(path)
  }

  /// Fills the filesystem of a folder to its last byte; answers the file to remove.
  func fill(_ path: String) throws -> String {
    let name = path + "/filler"
    let descriptor = open(name, O_WRONLY | O_CREAT, 0o600)
    guard descriptor >= 0 else { throw ToolFailure(text: "cannot make \(name)") }
    defer { close(descriptor) }
    let block = [UInt8](repeating: 0xF1, count: 4096)
    while write(descriptor, block, block.count) > 0 {}
    return name
  }

  /// Configured, with the receiver running and version 1 at the standby.
  func begin(receiver: String = "", sender: String = "") throws {
    try vm.writeVersion(1)
    try lab.configure(sender: sender, receiver: receiver)
    try lab.startReceiver()
    try lab.pass()
    try expect(version: 1)
  }

  // MARK: - What must hold

  /// P1: the standby becomes exactly this version, and is said to be.
  func expect(version: Int, at location: SourceLocation = #_sourceLocation) throws {
    var found = "nothing"
    do {
      try eventually("version \(version)") {
        do {
          let standby = try vm.standby()
          found = "\(standby)"
          return standby.version == version
        } catch {
          found = "\(error)"
          return false
        }
      }
    } catch {
      Issue.record("expected version \(version), found \(found)", sourceLocation: location)
      throw error
    }
  }

  /// P2 and P4: the pass failed, and says of which VM, in which phase and why; its point is still the old
  /// one.
  @discardableResult
  func expectRed(
    _ result: ToolResult, naming words: [String], newest number: UInt64 = 1,
    at location: SourceLocation = #_sourceLocation
  ) throws -> VMStatus? {
    #expect(result.status != 0, "it must not end green", sourceLocation: location)
    #expect(result.errors.contains(lab.vmName), "\(result.errors)", sourceLocation: location)
    let status = try StatusJSON.decode(Array(result.output.utf8)).vms.first
    let failure = status?.lastFailure
    #expect(failure.map { !$0.phase.isEmpty } == true, "\(result.output)", sourceLocation: location)
    for word in words {
      #expect(
        failure?.cause.contains(word) == true, "\(word) is not in: \(failure?.cause ?? "nothing")",
        sourceLocation: location)
    }
    #expect(status?.latestPoint?.reference.number == number, sourceLocation: location)
    #expect(
      (status?.lagSeconds(now: SystemTime().wallTime()) ?? 0) > 0, "the lag rises", sourceLocation: location)
    return status
  }

  /// The number of the newest point that a pass knew of when it ended.
  func numberTold(in result: ToolResult) throws -> Int {
    Int(try StatusJSON.decode(Array(result.output.utf8)).vms.first?.latestPoint?.reference.number ?? 0)
  }

  /// P7: the newest version of the source goes through, with nobody doing anything.
  func expectGoesOn(version: Int, at location: SourceLocation = #_sourceLocation) throws {
    try lab.pass()
    try expect(version: version, at: location)
    #expect(lab.receiver?.process.isRunning == true, sourceLocation: location)
  }

  /// What the receiver says of the VM without being asked by a sender.
  func receiverStatus(named name: String) throws -> VMStatus {
    let text = try Tool.must([Tool.receiver, "status", "--json", "--config", lab.receiverConfig])
    return try #require(StatusJSON.decode(Array(text.utf8)).vms.first { $0.name == name })
  }

  /// What a daemon says of the VM on its page; nil when it does not answer within two seconds.
  func page(_ port: Int) throws -> VMStatus? {
    let answer = try Tool.run(["curl", "-sf", "-m", "2", "http://127.0.0.1:\(port)/status"])
    guard answer.status == 0 else { return nil }
    return try StatusJSON.decode(Array(answer.output.utf8)).vms.first { $0.name == lab.vmName }
  }

  /// Starts a pass and holds its sender still as soon as `path` is there, or the pass is over.
  func startPass(heldWhen isReached: () throws -> Bool) throws -> Running {
    let pass = try lab.startPass()
    try eventually("the middle of a pass") { try isReached() || !pass.process.isRunning }
    pass.signal(SIGSTOP)
    return pass
  }

  /// The journals that lie beside the standby.
  func journals() throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: "\(lab.standbyFolder)/.repl/journal")
  }
}
