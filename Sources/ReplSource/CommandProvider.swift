import ReplCommand
import ReplIO
import ReplModel
import ReplVMDK

/// The provider `command`: the storage makes a snapshot; a command prints the folder where it is mounted, and
/// another one takes it away again.
struct CommandProvider: FreezeProvider {
  /// A path and a line end.
  private static let outputLimitBytes = 4096

  let subject: FreezeSubject
  let take: CommandSpec
  let release: CommandSpec
  private var frozenAt = WallTime(millisecondsSince1970: 0)
  private var printed = ""

  init(subject: FreezeSubject, take: CommandSpec, release: CommandSpec) {
    (self.subject, self.take, self.release) = (subject, take, release)
  }

  func prepare(_ record: inout FreezeRecord, _ commands: FreezeCommands) throws(SourceError) {
    // Disks that cannot be read are refused before a guest is bothered.
    _ = try subject.openDisks()
    record.release = commands.filled(release)
    record.mayBeTaking = true
  }

  mutating func freeze(_ record: inout FreezeRecord, _ steps: FreezeSteps) throws(SourceError) {
    frozenAt = steps.time.wallTime()
    defer { record.mayBeTaking = false }
    do throws(SourceError) {
      printed = try steps.commands.run(steps.commands.filled(take), .take)
    } catch {
      // Ended here, perhaps not there: the command may be one end of a connection to the storage.
      record.mayComeLate = true
      throw error
    }
  }

  func open(_ record: inout FreezeRecord, _ steps: FreezeSteps) throws(SourceError) -> FrozenDisks {
    let path = try self.path(in: printed)
    let folder = try frozenFolder(path)
    let vmx = try folder.readVMX()
    guard vmx.vm == subject.vmx.vm else {
      throw wrong("\(folder.vmxPath) is the VM \(vmx.vm), not \(subject.vmx.vm)")
    }
    let opening = self.opening(for: path)
    let disks = try folder.openDisks(vmx, subject.request, opening: opening)
    let stillness = Stillness(of: disks, vmxPath: folder.vmxPath, watchesLocks: false)
    return FrozenDisks(
      disks: disks, frozenAt: frozenAt, label: .crashConsistent, vmx: vmx.bytes,
      nvram: try folder.readNVRAM(vmx), stillness: stillness.watching(disks, opening))
  }

  private func path(in printed: String) throws(SourceError) -> String {
    let lines = printed.split(whereSeparator: \.isNewline).map { CommandRunner.trimmed(String($0)) }
      .filter { !$0.isEmpty }
    guard lines.count == 1, lines[0].utf8.count <= Self.outputLimitBytes, lines[0].hasPrefix("/") else {
      let shown = SafeText.printable(printed, limit: 256)
      throw wrong("it printed \"\(shown)\", and one line with the absolute path of a folder was expected")
    }
    return lines[0]
  }

  private func frozenFolder(_ path: String) throws(SourceError) -> SourceFolder {
    do throws(SourceError) {
      let folder = try SourceFolder(vmxPath: "\(path)/\(subject.folder.vmxName)")
      let (frozen, live): (FileStatus, FileStatus)
      do throws(IOError) {
        frozen = try folder.directory.status()
        live = try subject.folder.directory.status()
      } catch { throw .io(error) }
      guard (frozen.device, frozen.inode) != (live.device, live.inode) else {
        throw wrong("\(path) is the live folder of the VM, not a frozen one")
      }
      return folder
    } catch {
      if case .io(let cause) = error { throw wrong("\(path) cannot be used: \(cause)") }
      throw error
    }
  }

  private func wrong(_ what: String) -> SourceError {
    .notFrozen(path: subject.path, why: "take: \(what): correct the command freeze.take")
  }

  /// Nothing of the live side may be read: names that lead outside the VM's folder are refused, and absolute
  /// ones into it lead into the frozen folder.
  private func opening(for frozen: String) -> DiskOpening {
    let live = subject.folder.directory.path
    var mappings: [PathMapping] = [PathMapping(prefix: live, directory: frozen)]
    for mapping in subject.request.opening.mappings {
      var directory = mapping.directory
      while directory.count > 1, directory.hasSuffix("/") { directory.removeLast() }
      if live == directory {
        mappings.append(PathMapping(prefix: mapping.prefix, directory: frozen))
      } else if live.hasPrefix(directory == "/" ? "/" : directory + "/") {
        let rest = live.dropFirst(directory == "/" ? 1 : directory.count + 1)
        mappings.append(PathMapping(prefix: Self.joined(mapping.prefix, rest), directory: frozen))
      }
    }
    return DiskOpening(mappings: mappings)
  }

  /// A datastore's name is parted from what follows by a space: `[datastore1] web01`.
  private static func joined(_ prefix: String, _ rest: Substring) -> String {
    if prefix.hasSuffix("]") { return "\(prefix) \(rest)" }
    return prefix.hasSuffix("/") ? "\(prefix)\(rest)" : "\(prefix)/\(rest)"
  }
}
