import Glibc
import ReplIO
import ReplModel
import Testing

@testable import ReplSource

@Suite struct StillnessTests {
  /// The sentence of a view that was found changed.
  private func change(_ view: VMView) throws -> String {
    let error = #expect(throws: SourceError.self) { try view.checkUnchanged() }
    guard case .changed(_, let what)? = error else {
      Issue.record("\(String(describing: error))")
      return ""
    }
    return what
  }

  @Test("a view whose files are as they were is unchanged")
  func still() throws {
    let folder = try PrimaryFolder(disks: ["web", "data"])
    let view = try folder.view()
    try view.checkUnchanged()
    #expect(view.label == .crashConsistent)
  }

  @Test("a file that was written to is changed, even where its modification time was put back")
  func written() throws {
    let folder = try PrimaryFolder()
    let view = try folder.view()
    var before = stat()
    try #require(stat("\(folder.path)/web-flat.vmdk", &before) == 0)
    try folder.write("web-flat.vmdk", [UInt8](repeating: 8, count: 1 << 20))
    let times = [before.st_atim, before.st_mtim]
    try #require(utimensat(AT_FDCWD, "\(folder.path)/web-flat.vmdk", times, 0) == 0)
    #expect(try change(view) == "it was written to")
  }

  @Test("a file that was removed, shortened or replaced by its twin is changed")
  func replaced() throws {
    let folder = try PrimaryFolder()
    var view = try folder.view()
    try folder.write("web-flat.vmdk", [1])
    #expect(try change(view).contains("size"))
    try folder.write("web-flat.vmdk", [UInt8](repeating: 7, count: 1 << 20))
    view = try folder.view()
    try #require(rename("\(folder.path)/web-flat.vmdk", "\(folder.path)/old") == 0)
    #expect(try change(view) == "it was removed")
    try folder.write("web-flat.vmdk", [UInt8](repeating: 7, count: 1 << 20))
    #expect(try change(view) == "another file was put in its place")
  }

  @Test("a VM that is started during the read is found out by its swap file or by QEMU's lock")
  func started() throws {
    let folder = try PrimaryFolder()
    let view = try folder.view()
    try folder.write("web-1.vswp", [])
    #expect(try change(view).contains("web-1.vswp"))
    try folder.remove("web-1.vswp")
    try view.checkUnchanged()
    let file = open("\(folder.path)/web-flat.vmdk", O_RDWR)
    try #require(file >= 0)
    defer { close(file) }
    var lock = flock(l_type: Int16(F_WRLCK), l_whence: Int16(SEEK_SET), l_start: 100, l_len: 1, l_pid: 0)
    // F_OFD_SETLK: the lock belongs to the open file, so that one process can see its own.
    try #require(fcntl(file, 37, &lock) == 0)
    #expect(try change(view).contains("QEMU"))
    let refusal = #expect(throws: SourceError.self) { try folder.view() }
    #expect("\(try #require(refusal))".contains("held open by QEMU"))
  }

  @Test("a fuzzy view is never found changed")
  func fuzzy() throws {
    let folder = try PrimaryFolder()
    try folder.write("web-1.vswp", [])
    let view = try folder.view(allowFuzzy: true)
    #expect(view.label == .fuzzy)
    try folder.write("web-flat.vmdk", [UInt8](repeating: 8, count: 1 << 20))
    try view.checkUnchanged()
  }
}
