import ReplModel
import ReplPass
import ReplService

/// What may be sent, by whom and when. A VM's lane goes by the path of its VMX.
extension SenderRuntime {
  /// What a pass of this VM has in common with all, and its own pace.
  func pacedSettings(_ vm: SenderConfig.VM, _ id: VMID) -> SourceSettings {
    bandwidth.use(inForce(vm).bandwidth, for: vm.vmxPath)
    noteDeadline(vm, id)
    var result = settings
    result.makePace = { [bandwidth] in bandwidth.makePace(for: vm.vmxPath) }
    result.onClockSkew = { [self] in noteClockSkew($0, vm: id) }
    return result
  }

  /// The moment after which the VM's newest point is too old decides who comes first.
  func noteDeadline(_ vm: SenderConfig.VM, _ id: VMID) {
    let frozenAt = board[id]?.newestPoint?.frozenAt
    let rpoSeconds = inForce(vm).rpoSeconds
    let deadline = frozenAt.map {
      WallTime(millisecondsSince1970: $0.millisecondsSince1970 + Int64(rpoSeconds * 1000))
    }
    bandwidth.set(deadline: deadline, for: vm.vmxPath)
  }

  /// Limits and rates as they are now.
  func describeBandwidth(in document: inout StatusDocument) {
    document.bandwidth = bandwidth.status
    for index in document.vms.indices {
      guard let path = document.vms[index].vmxPath else { continue }
      document.vms[index].bandwidth = bandwidth.status(for: path)
    }
  }
}
