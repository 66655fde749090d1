import ReplModel

/// Who a VM is.
public enum ViewIdentity {
  /// Reads the VMX and nothing else.
  public static func read(vmxPath: String) throws(SourceError) -> (vm: VMID, displayName: String) {
    let vmx = try SourceFolder(vmxPath: vmxPath).readVMX()
    return (vmx.vm, vmx.displayName)
  }
}
