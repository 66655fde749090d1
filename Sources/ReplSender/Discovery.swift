import ReplIO
import ReplModel
import ReplService
import ReplSource

/// What the watched folders hold, VM by VM.
struct Discovery: Sendable, Encodable {
  /// What becomes of a VM.
  enum Standing: String, Sendable, Encodable, CaseIterable {
    case protected
    case found = "found-not-protected"
    case excluded
    case notProtectable = "not-protectable"
  }

  struct VM: Sendable, Encodable {
    let vmx: String
    let folder: String
    let standing: Standing
    let name: String?
    let vm: VMID?
    /// Why it cannot be replicated and what to do, a sentence each.
    let problems: [String]
    /// What to put beneath `vms:` to protect it; nil where it is protected or cannot be.
    let configLine: String?
  }

  let vms: [VM]
  /// What could not be looked at.
  let problems: [String]

  /// Looks into every folder, and at every VM that is not excluded. Blocks.
  static func look(_ config: SenderConfig, state: any StorageDirectory) -> Discovery {
    let roster = Roster(config, directory: state, time: SystemTime())
    roster.look(keeps: false)
    var (vms, seen): ([VM], Set<String>) = ([], [])
    for folder in config.folders {
      // The roster's warnings say what is wrong with it.
      guard let contents = try? VMFinder(folder.watched).find() else { continue }
      for found in contents.vms where seen.insert(found.vmxPath).inserted {
        vms.append(describe(found, in: folder.watched.path, config, roster))
      }
    }
    return Discovery(vms: vms, problems: roster.warnings)
  }

  private static func describe(
    _ found: FoundVM, in folder: String, _ config: SenderConfig, _ roster: Roster
  ) -> VM {
    let path = found.vmxPath
    let member = roster.member(at: path)
    if found.isExcluded && member == nil {
      return VM(
        vmx: path, folder: folder, standing: .excluded, name: nil, vm: nil, problems: [], configLine: nil)
    }
    let (inspection, failure) = inspect(path, member?.vm, config)
    var problems = failure.map { [$0] } ?? []
    problems += inspection?.problems ?? []
    problems += inspection?.disks.compactMap(\.problem) ?? []
    // A copy of a VM that is protected is known only by the comparison with all others.
    if let id = inspection?.vm?.id, roster[path] != id, member != nil || isHeld(id, roster) {
      problems.append("another VM with the UUID \(id) is protected: give this one a UUID of its own")
    }
    let standing: Standing = !problems.isEmpty ? .notProtectable : member != nil ? .protected : .found
    return VM(
      vmx: path, folder: folder, standing: standing, name: inspection?.vm?.displayName,
      vm: inspection?.vm?.id, problems: problems, configLine: standing == .found ? ConfigLine.vm(path) : nil)
  }

  private static func isHeld(_ vm: VMID, _ roster: Roster) -> Bool {
    roster.members.contains { roster[$0.vm.vmxPath] == vm }
  }

  private static func inspect(
    _ path: String, _ vm: SenderConfig.VM?, _ config: SenderConfig
  ) -> (Inspection?, String?) {
    let request = config.viewRequest(
      vm
        ?? SenderConfig.VM(
          vmxPath: path, intervalSeconds: config.intervalSeconds, rpoSeconds: config.rpoSeconds))
    do throws(IOError) {
      return (
        try Inspection.read(
          InspectionRequest(path: path, opening: request.opening, excludedDisks: request.excludedDisks)), nil
      )
    } catch { return (nil, "\(error)") }
  }

  /// As JSON with its final line feed.
  var jsonText: String {
    get throws {
      try JSONText.encode(self) + "\n"
    }
  }

  /// For the terminal: a line a VM, its problems and the line for the configuration below it.
  var text: String {
    guard !vms.isEmpty else { return "no VMs\n" }
    var text = ""
    let width = Standing.allCases.map(\.rawValue.count).max() ?? 0
    for vm in vms {
      let word = vm.standing.rawValue
      text += word + String(repeating: " ", count: width - word.count + 2)
      text += SafeText.printable(vm.vmx, limit: 1024)
      if let name = vm.name { text += " (\(SafeText.printable(name, limit: 128)))" }
      text += "\n"
      for problem in vm.problems { text += "  \(SafeText.printable(problem, limit: 1024))\n" }
      if let line = vm.configLine {
        text += "  to protect it, put this beneath vms: \(SafeText.printable(line, limit: 1024))\n"
      }
    }
    return text
  }
}
