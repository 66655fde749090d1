import ReplIO
import ReplModel
import ReplVMDK
import ReplVMX

/// The folder of a VM at the primary site: everything that is read of a VM lies beneath it.
struct SourceFolder {
  /// A VMX is a few KB; NVRAM is 8 to 270 KB.
  static let vmxLimitBytes = 1 << 20
  static let nvramLimitBytes = 1 << 20
  /// What an offer carries of a name.
  static let nameLimitBytes = 255

  let directory: PosixDirectory
  let vmxName: String
  let vmxPath: String

  init(vmxPath: String) throws(SourceError) {
    self.vmxPath = vmxPath
    let parts = vmxPath.split(separator: "/", omittingEmptySubsequences: true)
    vmxName = String(parts.last ?? "")
    do throws(IOError) {
      directory = try PosixDirectory(path: "/" + parts.dropLast().joined(separator: "/"))
    } catch { throw .io(error) }
  }

  /// What the VMX says.
  struct VMX {
    let bytes: [UInt8]
    let document: VMXDocument
    let vm: VMID
    let displayName: String
  }

  func readVMX() throws(SourceError) -> VMX {
    let bytes: [UInt8]
    do throws(IOError) {
      // VMware may be in the middle of rewriting it: what reads the same twice is whole.
      let first = try directory.readFile(vmxName, limitBytes: Self.vmxLimitBytes)
      bytes = try directory.readFile(vmxName, limitBytes: Self.vmxLimitBytes)
      guard first == bytes else {
        throw IOError(.damaged, "read", path: vmxPath, detail: "it is being rewritten")
      }
    } catch { throw .io(error) }
    let document: VMXDocument
    do throws(VMXError) { document = try VMXDocument(parsing: bytes) } catch {
      throw .vmx(path: vmxPath, error)
    }
    guard let vm = document.vmID else { throw identityError(document) }
    return VMX(bytes: bytes, document: document, vm: vm, displayName: displayName(document.displayName))
  }

  private func identityError(_ document: VMXDocument) -> SourceError {
    let suggestion = Self.freshIdentityLine()
    guard let found = document["uuid.bios"], !found.isEmpty else {
      return .noIdentity(path: vmxPath, suggestion: suggestion)
    }
    return .badIdentity(path: vmxPath, found: found, suggestion: suggestion)
  }

  /// What the VMX says, cut between characters; the file's own name where it says nothing.
  private func displayName(_ written: String?) -> String {
    var name = ""
    for character in written ?? "" {
      guard name.utf8.count + character.utf8.count <= Self.nameLimitBytes else { break }
      name.append(character)
    }
    if !name.isEmpty { return name }
    let stem = vmxName.lowercased().hasSuffix(".vmx") ? String(vmxName.dropLast(4)) : vmxName
    return stem.isEmpty ? vmxName : stem
  }

  private static func freshIdentityLine() -> String {
    let pairs = VMID.random().bytes.map { HexText.encode([$0]) }
    return "uuid.bios = \"\(pairs[0..<8].joined(separator: " "))-\(pairs[8..<16].joined(separator: " "))\""
  }

  func readNVRAM(_ vmx: VMX) throws(SourceError) -> [UInt8]? {
    guard let name = vmx.document.nvramFileName else { return nil }
    do throws(IOError) {
      return try directory.readFile(name, limitBytes: Self.nvramLimitBytes)
    } catch {
      // A VM that was never started has no NVRAM yet, although the VMX names it.
      if error.isMissing { return nil }
      throw .io(error)
    }
  }
}
