import Foundation
import ReplModel
import ReplService
import Testing

/// Many VMs of 1 GiB sparse each, several senders with identities of their own, one receiver.
final class Fleet {
  struct VM {
    let name: String
    let sender: Int
    let flatPath: String
  }

  let folder = NSTemporaryDirectory() + "vmrepl-fleet-\(UUID().uuidString.prefix(8))"
  private(set) var vms: [VM] = []
  private(set) var receiver: Running?
  private(set) var senders: [Running] = []
  /// The port of the receiver's pages.
  private(set) var receiverPages = 0
  private let senderCount: Int
  private var random = SystemRandomNumberGenerator()

  var receiverConfig: String { "\(folder)/receiver.yaml" }
  func senderConfig(_ number: Int) -> String { "\(folder)/sender\(number).yaml" }

  init(vms count: Int, senders senderCount: Int) throws {
    self.senderCount = senderCount
    try FileManager.default.createDirectory(atPath: "\(folder)/dr", withIntermediateDirectories: true)
    for number in 0..<count {
      let name = "vm" + String(repeating: "0", count: 4 - "\(number)".count) + "\(number)"
      vms.append(try makeVM(name, sender: number % senderCount))
    }
  }

  deinit {
    for running in [receiver].compactMap({ $0 }) + senders { running.signal(SIGKILL) }
    // Best effort: a leftover in the temporary folder harms nobody.
    try? FileManager.default.removeItem(atPath: folder)
  }

  // MARK: - The source

  private func makeVM(_ name: String, sender: Int) throws -> VM {
    let home = "\(folder)/primary\(sender)/\(name)"
    try FileManager.default.createDirectory(atPath: home, withIntermediateDirectories: true)
    let flat = "\(home)/\(name)-flat.vmdk"
    _ = FileManager.default.createFile(atPath: flat, contents: nil)
    guard truncate(flat, 1 << 30) == 0 else { throw ToolFailure(text: "cannot make \(flat)") }
    let vm = VM(name: name, sender: sender, flatPath: flat)
    try change(vm, pages: [0, 1000, 100_000, 262_143])
    let descriptor = """
      # Disk DescriptorFile
      version=1
      CID=fffffffe
      parentCID=ffffffff
      createType="vmfs"

      # Extent description
      RW 2097152 VMFS "\(name)-flat.vmdk"

      # The Disk Data Base
      #DDB
      ddb.virtualHWVersion = "19"
      ddb.adapterType = "lsilogic"
      ddb.uuid = "\(uuidText())"

      """
    try descriptor.write(toFile: "\(home)/\(name).vmdk", atomically: false, encoding: .utf8)
    let vmx = """
      .encoding = "UTF-8"
      config.version = "8"
      virtualHW.version = "19"
      displayName = "\(name)"
      guestOS = "debian12-64"
      memSize = "1024"
      uuid.bios = "\(uuidText())"
      scsi0.present = "TRUE"
      scsi0.virtualDev = "pvscsi"
      scsi0:0.present = "TRUE"
      scsi0:0.fileName = "\(name).vmdk"

      """
    try vmx.write(toFile: "\(home)/\(name).vmx", atomically: false, encoding: .utf8)
    return vm
  }

  /// As VMware writes it: two groups of eight bytes.
  private func uuidText() -> String {
    let digits = Array("0123456789abcdef")
    let bytes = (0..<16).map { _ in
      "\(digits.randomElement(using: &random)!)\(digits.randomElement(using: &random)!)"
    }
    return bytes[0..<8].joined(separator: " ") + "-" + bytes[8..<16].joined(separator: " ")
  }

  /// Fills pages of the VM's disk with what no other page has.
  func change(_ vm: VM, pages: [Int]) throws {
    let content = (0..<4096).map { _ in UInt8.random(in: 0...255, using: &random) }
    try FlatDisk(path: vm.flatPath).write(pages: pages) { page in
      content.map { $0 ^ UInt8(truncatingIfNeeded: page) }
    }
  }

  // MARK: - The daemons

  /// With a second store, called `ice`, the standbys of the second sender lie there.
  func start(interval: String, secondStore: String? = nil) throws {
    let (port, http) = (try Lab.freePort(), try Lab.freePort())
    receiverPages = http
    let state = "\(folder)/receiver-state"
    for path in ["\(folder)/dr"] + (secondStore.map { [$0] } ?? []) {
      try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
      try Tool.must([Tool.receiver, "init", "--state-dir", state, "--store", path])
    }
    var peers = ""
    for number in 0..<senderCount {
      let own = "\(folder)/sender-state\(number)"
      try Tool.must([Tool.sender, "init", "--state-dir", own])
      let store = number == 1 && secondStore != nil ? ", store: ice" : ""
      peers +=
        "  - {name: site\(number), fingerprint: \"\(try fingerprint(Tool.sender, own))\"\(store)}\n"
      try """
      state_dir: \(own)
      http: 127.0.0.1:\(try Lab.freePort())
      receiver: {address: "127.0.0.1:\(port)", fingerprint: "\(try fingerprint(Tool.receiver, state))"}
      interval: \(interval)
      vms:
      \(vms.filter { $0.sender == number }.map { "  - \(folder)/primary\(number)/\($0.name)/\($0.name).vmx" }
          .joined(separator: "\n"))

      """.write(toFile: senderConfig(number), atomically: false, encoding: .utf8)
    }
    try """
    listen: 127.0.0.1:\(port)
    state_dir: \(state)
    http: 127.0.0.1:\(http)
    stores: [{name: main, path: \(folder)/dr}\(secondStore.map { ", {name: ice, path: \($0)}" } ?? "")]
    free_space_floor: 1MiB
    peers:
    \(peers)
    """.write(toFile: receiverConfig, atomically: false, encoding: .utf8)
    try startReceiver()
    for number in 0..<senderCount {
      senders.append(try Running([Tool.sender, "run", "--config", senderConfig(number)]))
    }
  }

  func startReceiver() throws {
    let running = try Running([Tool.receiver, "run", "--config", receiverConfig])
    receiver = running
    try eventually("the receiver listens") {
      guard running.process.isRunning else { throw ToolFailure(text: "receiver ended: \(running.errors)") }
      return running.errors.contains("listening")
    }
  }

  /// Ends the receiver as an operator would, and starts it again.
  func restartReceiver() throws {
    try stopReceiver()
    try startReceiver()
  }

  func stopReceiver() throws {
    receiver?.signal(SIGTERM)
    let result = try receiver?.finish(seconds: 10)
    guard result?.status == 0 else { throw ToolFailure(text: "receiver: \(result?.errors ?? "")") }
  }

  private func fingerprint(_ tool: String, _ state: String) throws -> String {
    try Tool.must([tool, "fingerprint", "--state-dir", state]).trimmingCharacters(in: .whitespacesAndNewlines)
  }

  // MARK: - What they say

  /// Every VM as its sender knows it.
  func status() throws -> [VMStatus] {
    try (0..<senderCount).flatMap { number in
      try document(of: Tool.sender, senderConfig(number)).vms
    }
  }

  func receiverStatus() throws -> StatusDocument {
    try document(of: Tool.receiver, receiverConfig)
  }

  /// A machine that is busy with all these daemons may close a connection before it was served: asked again.
  private func document(of tool: String, _ config: String) throws -> StatusDocument {
    var document: StatusDocument?
    try eventually("a status") {
      let result = try Tool.run([tool, "status", "--json", "--config", config])
      if result.status == 0 { document = try StatusJSON.decode(Array(result.output.utf8)) }
      return document != nil
    }
    return try #require(document)
  }

  /// The greatest age of a newest point; nil while there is a VM without one.
  func greatestLag() throws -> Double? {
    let (now, all) = (Date().timeIntervalSince1970, try status())
    let times = all.compactMap { $0.newestPoint?.frozenAt.millisecondsSince1970 }
    guard times.count == vms.count else { return nil }
    return times.map { now - Double($0) / 1000 }.max()
  }

  /// The folder of a VM's standby.
  func standbyFolder(of vm: VM) throws -> String {
    let names = try FileManager.default.contentsOfDirectory(atPath: "\(folder)/dr")
    return "\(folder)/dr/" + (try #require(names.first { $0.hasPrefix("\(vm.name)-") }))
  }
}
