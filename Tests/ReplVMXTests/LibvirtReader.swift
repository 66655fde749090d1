import Foundation
import Testing

/// What libvirt's VMware driver makes of a VMX, by `virsh domxml-from-native`.
struct LibvirtReader {
  /// A machine as libvirt understands it, as far as a standby must agree with its source.
  struct Machine: Hashable {
    var name: String?
    var uuid: String?
    var memoryKiB: String?
    var processors: String?
    /// `sockets='2' dies='1' cores='2' threads='1'`.
    var topology: String?
    /// Of the adapters, in their order.
    var macAddresses: [String]
    var networks: [String]
    /// `sda scsi0-0.vmdk`: hard disks only.
    var disks: [String]
  }

  struct Failure: Error, CustomStringConvertible {
    let description: String
  }

  static let isUsable =
    ProcessInfo.processInfo.environment["CI"] != nil
    || FileManager.default.isExecutableFile(atPath: "/usr/bin/virsh")

  /// The driver asks these programs of Workstation for their version and for running machines.
  private static let standIns = [
    "vmware": "echo 'VMware Workstation 17.0.0 build-20800274'", "vmrun": "echo 'Total running VMs: 0'",
  ]

  static func read(_ vmx: [UInt8]) throws -> Machine {
    let folder = NSTemporaryDirectory() + "vmrepl-libvirt-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    // A leftover in the temporary folder harms nobody.
    defer { try? FileManager.default.removeItem(atPath: folder) }
    for (name, body) in standIns {
      _ = FileManager.default.createFile(
        atPath: "\(folder)/\(name)", contents: Data("#!/bin/sh\n\(body)\n".utf8),
        attributes: [.posixPermissions: 0o755])
    }
    _ = FileManager.default.createFile(atPath: "\(folder)/vm.vmx", contents: Data(vmx))
    return try machine(of: xml(in: folder))
  }

  private static func xml(in folder: String) throws -> String {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/timeout")
    process.arguments = [
      "30", "virsh", "-c", "vmwarews:///session", "domxml-from-native", "vmware-vmx", "\(folder)/vm.vmx",
    ]
    process.environment = ["PATH": "\(folder):/usr/bin:/bin", "HOME": folder, "XDG_RUNTIME_DIR": folder]
    let (output, errors) = ("\(folder)/output", "\(folder)/errors")
    for path in [output, errors] { _ = FileManager.default.createFile(atPath: path, contents: nil) }
    process.standardOutput = FileHandle(forWritingAtPath: output)
    process.standardError = FileHandle(forWritingAtPath: errors)
    try process.run()
    process.waitUntilExit()
    guard process.terminationStatus == 0 else {
      let cause = try String(contentsOfFile: errors, encoding: .utf8)
      throw Failure(
        description: "virsh (package libvirt-clients) ended with \(process.terminationStatus): \(cause)")
    }
    return try String(contentsOfFile: output, encoding: .utf8)
  }

  private static func machine(of xml: String) -> Machine {
    Machine(
      name: texts(between: "<name>", "</name>", xml).first,
      uuid: texts(between: "<uuid>", "</uuid>", xml).first,
      memoryKiB: texts(between: "<memory unit='KiB'>", "</memory>", xml).first,
      processors: texts(between: "<vcpu placement='static'>", "</vcpu>", xml).first,
      topology: texts(between: "<topology ", "/>", xml).first,
      macAddresses: texts(between: "<mac address='", "'", xml),
      networks: texts(between: "<interface", "</interface>", xml).map { adapter in
        texts(between: "<source bridge='", "'", adapter).first ?? "-"
      },
      disks: texts(between: "<disk type='file' device='disk'>", "</disk>", xml).map { disk in
        (texts(between: "<target dev='", "'", disk) + texts(between: "<source file='", "'", disk))
          .joined(separator: " ")
      })
  }

  private static func texts(between start: String, _ end: String, _ xml: String) -> [String] {
    xml.components(separatedBy: start).dropFirst().map { rest in
      let text = rest.components(separatedBy: end)[0]
      let entities = ["&lt;": "<", "&gt;": ">", "&quot;": "\"", "&apos;": "'", "&amp;": "&"]
      return entities.sorted { $0.key > $1.key }.reduce(text) {
        $0.replacingOccurrences(of: $1.key, with: $1.value)
      }
    }
  }
}

extension Trait where Self == ConditionTrait {
  /// A test against libvirt: skipped with this reason where it is missing, failing there in CI.
  static var needsLibvirt: ConditionTrait {
    .enabled(if: LibvirtReader.isUsable, "needs virsh (package libvirt-clients)")
  }
}
