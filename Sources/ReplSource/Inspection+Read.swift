import ReplIO
import ReplModel

extension Inspection {
  /// Enough to tell a VMX from a disk.
  private static let headBytes: Int64 = 4096

  /// Looks at a VMX with all of its disks, or at one disk. What is wrong with them is in the answer.
  /// - Parameter progress: called often, while the tables of a disk are read and after every MiB that is
  ///   hashed.
  /// - Throws: when the file itself cannot be read.
  public static func read(
    _ request: InspectionRequest, progress: @escaping (InspectionRequest.Progress) -> Void = { _ in }
  ) throws(IOError) -> Inspection {
    let parts = request.path.split(separator: "/", omittingEmptySubsequences: true)
    guard request.path.hasPrefix("/"), let name = parts.last.map({ String($0) }) else {
      throw IOError(
        .refusedName, "open", path: request.path, detail: "the path of a .vmx or .vmdk is expected")
    }
    let folder = try PosixDirectory(path: "/" + parts.dropLast().joined(separator: "/"))
    let disk = InspectionOfDisk(folder: folder, request: request, progress: progress)
    guard try isVMX(name, in: folder) else {
      var shown = Disk(slot: nil, file: name)
      disk.look(at: &shown)
      return Inspection(path: request.path, kind: .disk, disks: [shown])
    }
    return try InspectionOfVM(folder: folder, vmxName: name, request: request, disk: disk).inspection()
  }

  /// By the name, and where that says nothing, by the lines that every VMX has.
  private static func isVMX(_ name: String, in folder: PosixDirectory) throws(IOError) -> Bool {
    // Also tells a file that is not there from one that is no disk.
    let file = try folder.openPosixFile(name, .read)
    let lowered = name.lowercased()
    if lowered.hasSuffix(".vmdk") { return false }
    if [".vmx", ".vmtx", ".vmx~"].contains(where: { lowered.hasSuffix($0) }) { return true }
    var head = [UInt8](repeating: 0, count: Int(min(try file.currentSizeBytes(), headBytes)))
    var failure: IOError?
    head.withUnsafeMutableBytes { buffer in
      do throws(IOError) { try file.read(into: buffer, at: 0) } catch { failure = error }
    }
    if let failure { throw failure }
    let text = String(decoding: head, as: UTF8.self).lowercased()
    return text.contains("virtualhw.version") || text.contains("config.version")
  }
}
