import ReplModel
import ReplService
import ReplSource

/// An inspection as text for people.
struct InspectionReport {
  private(set) var text = ""

  init(_ inspection: Inspection) {
    line(0, "\(inspection.path): \(inspection.kind == .vm ? "a VM" : "a disk")")
    if let vm = inspection.vm { show(vm) }
    for disk in inspection.disks { show(disk) }
    for warning in inspection.warnings { line(0, "warning: \(warning)") }
    for problem in inspection.problems { line(0, "problem: \(problem)") }
    line(0, Self.verdict(inspection))
  }

  /// Everything comes from files that somebody else wrote.
  private mutating func line(_ indent: Int, _ words: String) {
    text += String(repeating: " ", count: indent) + SafeText.printable(words, limit: 2048) + "\n"
  }

  private mutating func row(_ indent: Int, _ name: String, _ value: String?) {
    guard let value else { return }
    line(indent, name + String(repeating: " ", count: max(1, 11 - name.utf8.count)) + value)
  }

  private mutating func show(_ vm: Inspection.VM) {
    row(2, "name", vm.displayName)
    row(2, "identity", vm.id?.description ?? "none")
    row(2, "encoding", vm.encoding)
    row(2, "nvram", vm.nvram)
    row(2, "snapshots", vm.snapshots == 0 ? nil : "\(vm.snapshots)")
  }

  private mutating func show(_ disk: Inspection.Disk) {
    line(0, "disk \(disk.slot.map { "\($0)  " } ?? "")\(disk.file)")
    if disk.state == .excluded { line(2, "excluded by the configuration") }
    row(2, "identity", disk.diskUUID?.description ?? (disk.links.isEmpty ? nil : "none: known by its slot"))
    row(2, "mode", disk.mode)
    row(2, "size", disk.sizeBytes.map { "\(AmountText.size(bytes: $0)) (\($0) bytes)" })
    row(2, "allocated", disk.allocatedBytes.map { "\(AmountText.size(bytes: $0)) (\($0) bytes)" })
    row(2, "stored", disk.storedBytes.map { AmountText.size(bytes: $0) })
    for (index, link) in disk.links.enumerated() { show(link, index) }
    row(2, "sha256", disk.sha256)
    for warning in disk.warnings { line(2, "warning: \(warning)") }
    if let problem = disk.problem { line(2, "problem: \(problem)") }
  }

  private mutating func show(_ link: Inspection.Link, _ index: Int) {
    let parent = link.parentContentID.map { " over \($0)" } ?? ""
    let held = link.allocatedBytes.map { ", holds \(AmountText.size(bytes: $0))" } ?? ""
    row(
      2, index == 0 ? "chain" : "parent",
      "\(link.path)  \(link.createType), CID \(link.contentID)\(parent)\(held)")
    for file in link.files {
      line(
        4,
        "\(file.role) \(file.path)  \(AmountText.size(bytes: file.sizeBytes)), "
          + "\(AmountText.size(bytes: file.storedBytes)) stored")
    }
  }

  private static func verdict(_ inspection: Inspection) -> String {
    if inspection.protectable { return "can be protected" }
    let refused = inspection.disks.count { $0.state == .refused }
    guard inspection.kind == .vm, inspection.problems.isEmpty else { return "cannot be protected" }
    return "cannot be protected as it is: \(refused) of \(inspection.disks.count) disk(s)"
  }
}
