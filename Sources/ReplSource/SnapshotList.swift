import ReplIO
import ReplModel
import ReplVMX

/// The snapshots of a VM, as its `.vmsd` names them (FORMATS A14). It is written like a VMX.
struct SnapshotList: Equatable {
  private static let limitBytes = 1 << 20

  /// The names that people and programs gave them.
  let names: [String]
  /// Deltas are left over from snapshots that are gone.
  let needsConsolidation: Bool

  /// Nil when the VM has no such file.
  init?(of folder: SourceFolder) throws(SourceError) {
    let stem =
      folder.vmxName.lowercased().hasSuffix(".vmx") ? folder.vmxName.dropLast(4) : folder.vmxName[...]
    let name = "\(stem).vmsd"
    let bytes: [UInt8]
    do throws(IOError) { bytes = try folder.directory.readFile(name, limitBytes: Self.limitBytes) } catch {
      if error.isMissing { return nil }
      throw .io(error)
    }
    do throws(VMXError) { self.init(try VMXDocument(parsing: bytes)) } catch {
      throw .vmx(path: "\(folder.directory.path)/\(name)", error)
    }
  }

  init(_ document: VMXDocument) {
    var numbers: Set<String> = []
    for entry in document.entries {
      let parts = entry.name.lowercased().split(separator: ".", maxSplits: 1)
      guard parts.count == 2, parts[0].hasPrefix("snapshot"), ["uid", "displayname"].contains(parts[1]) else {
        continue
      }
      let number = parts[0].dropFirst("snapshot".count)
      if !number.isEmpty, number.utf8.allSatisfy({ (48...57).contains($0) }) {
        numbers.insert(String(number))
      }
    }
    let none = document["snapshot.numSnapshots"] == "0"
    names =
      none
      ? [] : numbers.sorted().map { document["snapshot\($0).displayName"] ?? "snapshot \($0) without a name" }
    needsConsolidation = ["true", "1"].contains(document["snapshot.needConsolidate"]?.lowercased())
  }
}
