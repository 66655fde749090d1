import Foundation
import ReplModel
import ReplService
import Testing

/// A primary with one VM, a DR site, and configurations of both; the two real executables do the rest.
final class Lab {
  let folder: String
  let port: Int
  private(set) var receiver: Running?
  let vmName: String
  /// The filesystem that the lab is on, when it is not the machine's own; undone after the lab.
  private let mount: LoopMount?
  var diskNames: [String] = []

  var sourceFolder: String { "\(folder)/primary/\(vmName)" }
  let storeFolder: String
  var senderConfig: String { "\(folder)/sender.yaml" }
  var receiverConfig: String { "\(folder)/receiver.yaml" }

  /// `parent` is a folder for the lab, when it is neither the temporary one nor on `mount`; `store` where the
  /// DR site keeps its standbys, when that is not in the lab's folder.
  init(
    vmName: String = "web01", on mount: LoopMount? = nil, in parent: String? = nil, store: String? = nil
  ) throws {
    self.vmName = vmName
    self.mount = mount
    let parent = (parent ?? mount?.path).map { $0 + "/" } ?? NSTemporaryDirectory()
    folder = parent + "vmrepl-lab-\(UUID().uuidString.prefix(8))"
    storeFolder = store ?? "\(folder)/dr"
    port = try Self.freePort()
    for name in ["primary/\(vmName)", "dr"] {
      try FileManager.default.createDirectory(atPath: "\(folder)/\(name)", withIntermediateDirectories: true)
    }
  }

  deinit {
    receiver?.signal(SIGKILL)
    // Best effort: a leftover in the temporary folder harms nobody.
    try? FileManager.default.removeItem(atPath: folder)
  }

  /// A port that nobody listens on now.
  static func freePort() throws -> Int {
    let socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(socket) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let bound = withUnsafeMutablePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
        bind(socket, address, length) == 0 && getsockname(socket, address, &length) == 0
      }
    }
    guard bound else { throw ToolFailure(text: "no free port") }
    return Int(UInt16(bigEndian: address.sin_port))
  }

  // MARK: - The source

  /// Adds a disk of `sizeBytes` holding `content` (a raw image made elsewhere), or nothing.
  func addDisk(subformat: String, sizeBytes: Int, from raw: String? = nil) throws {
    let number = diskNames.count
    let name = number == 0 ? "\(vmName).vmdk" : "\(vmName)_\(number).vmdk"
    let path = "\(sourceFolder)/\(name)"
    if let raw {
      try Tool.must(["qemu-img", "convert", "-O", "vmdk", "-o", "subformat=\(subformat)", raw, path])
    } else {
      try Tool.must([
        "qemu-img", "create", "-q", "-f", "vmdk", "-o", "subformat=\(subformat)", path, "\(sizeBytes)",
      ])
    }
    diskNames.append(name)
  }

  func writeVMX(extra: String = "") throws {
    var text = """
      .encoding = "UTF-8"
      config.version = "8"
      virtualHW.version = "19"
      displayName = "\(vmName)"
      guestOS = "debian12-64"
      memSize = "1024"
      numvcpus = "1"
      nvram = "\(vmName).nvram"
      uuid.bios = "56 4d ef 2d 3f d4 14 e2-2e 04 c5 34 3a ec ee 65"
      scsi0.present = "TRUE"
      scsi0.virtualDev = "pvscsi"
      ethernet0.present = "TRUE"
      ethernet0.virtualDev = "vmxnet3"
      ethernet0.networkName = "VM Network"

      """
    for (unit, name) in diskNames.enumerated() {
      text += "scsi0:\(unit).present = \"TRUE\"\nscsi0:\(unit).fileName = \"\(name)\"\n"
    }
    try (text + extra).write(toFile: "\(sourceFolder)/\(vmName).vmx", atomically: true, encoding: .utf8)
    let nvram = Data((0..<8684).map { UInt8(truncatingIfNeeded: $0 &* 31) })
    try nvram.write(to: URL(fileURLWithPath: "\(sourceFolder)/\(vmName).nvram"))
  }

  /// A program in the lab's folder, for hooks and commands.
  @discardableResult
  func writeScript(_ name: String, _ lines: String) throws -> String {
    let path = "\(folder)/\(name)"
    try "#!/bin/sh\nset -e\n\(lines)\n".write(toFile: path, atomically: true, encoding: .utf8)
    try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: path)
    return path
  }

  /// Runs qemu-io commands on a disk of the source.
  func change(disk: Int, _ commands: [String]) throws {
    var arguments = ["qemu-io", "-f", "vmdk"]
    for command in commands { arguments += ["-c", command] }
    try Tool.must(arguments + ["\(sourceFolder)/\(diskNames[disk])"])
  }

  // MARK: - Both daemons

  /// Makes both identities and configurations. `through` is where the sender connects to, when it is not the
  /// receiver.
  func configure(through proxyPort: Int? = nil, sender: String = "", receiver: String = "") throws {
    let states = (sender: "\(folder)/sender-state", receiver: "\(folder)/receiver-state")
    try Tool.must([Tool.receiver, "init", "--state-dir", states.receiver, "--store", storeFolder])
    try Tool.must([Tool.sender, "init", "--state-dir", states.sender])
    let receiverText = """
      listen: 127.0.0.1:\(port)
      state_dir: \(states.receiver)
      http: "off"
      stores:
        - name: main
          path: \(storeFolder)
      free_space_floor: 1MiB
      peers:
        - name: primary
          fingerprint: \(try fingerprint(Tool.sender, states.sender))
      \(receiver)

      """
    try receiverText.write(toFile: receiverConfig, atomically: true, encoding: .utf8)
    let senderText = """
      state_dir: \(states.sender)
      http: "off"
      receiver:
        address: 127.0.0.1:\(proxyPort ?? port)
        fingerprint: \(try fingerprint(Tool.receiver, states.receiver))
      vms:
        - vmx: \(sourceFolder)/\(vmName).vmx
      \(sender)

      """
    try senderText.write(toFile: senderConfig, atomically: true, encoding: .utf8)
  }

  func fingerprint(_ tool: String, _ state: String) throws -> String {
    try Tool.must([tool, "fingerprint", "--state-dir", state]).trimmingCharacters(in: .whitespacesAndNewlines)
  }

  /// `limits` are those of `prlimit`; `seconds` is how long it may take until it listens.
  func startReceiver(
    environment: [String: String] = [:], limits: [String] = [], seconds: Double = 30
  ) throws {
    let prefix = limits.isEmpty ? [] : ["prlimit"] + limits
    let running = try Running(
      prefix + [Tool.receiver, "run", "--config", receiverConfig], environment: environment)
    receiver = running
    try eventually(seconds: seconds, "the receiver listens") {
      guard running.process.isRunning else { throw ToolFailure(text: "receiver ended: \(running.errors)") }
      return running.errors.contains("listening")
    }
  }

  /// Ends the receiver, by default as an operator would.
  func stopReceiver(_ signal: Int32 = SIGTERM) throws {
    receiver?.signal(signal)
    try receiver?.finish(seconds: 10)
    receiver = nil
  }

  func startPass(environment: [String: String] = [:]) throws -> Running {
    try Running(
      [Tool.sender, "run", "--once", "--json", "--config", senderConfig], environment: environment)
  }

  /// One pass that must commit; returns what it says of itself.
  @discardableResult
  func pass(seconds: Double = 120) throws -> VMStatus {
    let result = try startPass().finish(seconds: seconds)
    guard result.status == 0 else {
      throw ToolFailure(
        text:
          "pass ended with \(result.status): \(result.output) \(result.errors)\n"
          + "receiver: \(receiver?.errors ?? "")"
      )
    }
    return try Self.decodeStatus(result.output)
  }

  static func decodeStatus(_ text: String) throws -> VMStatus {
    let document = try StatusJSON.decode(Array(text.utf8))
    return try #require(document.vms.first)
  }

  /// Gives the daemons pages of their own, on ports that are free; answers the ports.
  func servePages() throws -> (sender: Int, receiver: Int) {
    let ports = (sender: try Self.freePort(), receiver: try Self.freePort())
    for (path, port) in [(senderConfig, ports.sender), (receiverConfig, ports.receiver)] {
      let text = try String(contentsOfFile: path, encoding: .utf8)
      try text.replacingOccurrences(of: "http: \"off\"", with: "http: 127.0.0.1:\(port)")
        .write(toFile: path, atomically: true, encoding: .utf8)
    }
    return ports
  }

  // MARK: - The standby

  var standbyFolder: String {
    get throws {
      let names = try FileManager.default.contentsOfDirectory(atPath: storeFolder)
      // A crash while a standby is made leaves a folder without a catalog.
      let name = try #require(
        names.first {
          $0.hasPrefix(vmName)
            && FileManager.default.fileExists(atPath: "\(storeFolder)/\($0)/.repl/catalog")
        }, "a standby in \(storeFolder)")
      return "\(storeFolder)/\(name)"
    }
  }

  func standbyDisk(_ number: Int) throws -> String { "\(try standbyFolder)/scsi0-\(number).vmdk" }

  /// True when an independent judge says that source and standby are the same.
  func isIdentical(disk: Int) throws -> Bool {
    let result = try Tool.run([
      "qemu-img", "compare", "\(sourceFolder)/\(diskNames[disk])", try standbyDisk(disk),
    ])
    return result.status == 0
  }

  func expectIdentical(_ context: String = "") throws {
    for disk in diskNames.indices { #expect(try isIdentical(disk: disk), "disk \(disk) \(context)") }
  }
}
