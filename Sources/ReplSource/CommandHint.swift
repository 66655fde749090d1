import ReplCommand
import ReplIO
import ReplModel

/// The provider `command`: a command of the operator's prints what changed, one disk at a time.
final class CommandHint: HintProvider {
  private let spec: CommandSpec
  private let view: HintedView
  private let isStopping: () -> Bool

  init(_ spec: CommandSpec, _ view: HintedView, isStopping: @escaping () -> Bool) {
    self.spec = spec
    self.view = view
    self.isStopping = isStopping
  }

  func answer(for disk: ViewDisk, since known: HintRecord.Disk?) -> HintAnswer {
    let changeID = known?.token.changeID
    do throws(HintRefusal) {
      let said = try ask(disk, changeID ?? ChangedAreas.everything)
      let token = HintRecord.Token(changeID: said.changeID)
      guard changeID != nil else { return HintAnswer(changed: .failure(.noRecord), token: token) }
      guard let changed = said.changed else {
        return HintAnswer(changed: .failure(HintRefusal("the command cannot tell")), token: token)
      }
      return HintAnswer(changed: .success(changed), token: token)
    } catch { return HintAnswer(changed: .failure(error), token: nil) }
  }

  private func ask(_ disk: ViewDisk, _ changeID: String) throws(HintRefusal) -> ChangedAreas {
    var values = view.placeholders
    values["disk"] = disk.slot.description
    values["change_id"] = changeID
    let runner = CommandRunner(
      deadlineSeconds: spec.deadlineSeconds,
      environment: [
        "VMREPL_STAGE": "changes", "VMREPL_VMX": view.vmxPath, "VMREPL_VM_ID": view.vm.description,
        "VMREPL_VM_NAME": SafeText.printable(view.displayName), "VMREPL_TAG": view.tag,
        "VMREPL_DISK": disk.slot.description, "VMREPL_CHANGE_ID": changeID,
      ], outputLimitBytes: ChangedAreas.outputLimitBytes)
    let output: String
    do throws(CommandError) {
      output = try runner.runBlocking(spec.template.filled(with: values), isStopping: isStopping)
        .standardOutput
    } catch { throw HintRefusal("\(error)") }
    do throws(HintRefusal) {
      return try ChangedAreas(output, slot: disk.slot, sizeBytes: disk.image.sizeBytes)
    } catch { throw HintRefusal("what the hint command printed is not believed: \(error)") }
  }
}

/// The view that a command is asked about.
struct HintedView: Sendable {
  let vmxPath: String
  let vm: VMID
  let displayName: String
  /// Empty where nothing was frozen.
  let tag: String

  var placeholders: [String: String] {
    [
      "vmx": vmxPath, "name": displayName, "id": vm.description, "tag": tag,
      "directory": "/" + vmxPath.split(separator: "/").dropLast().joined(separator: "/"),
    ]
  }
}
