import Testing

@testable import ReplVMDK

@Suite("names") struct DiskNamesTests {
  private let names = DiskNames(
    folder: "/srv/ds1/web",
    mappings: [
      PathMapping(prefix: "/vmfs/volumes/5f3c0a1b-1", directory: "/srv/ds1"),
      PathMapping(prefix: "/vmfs/volumes/5f3c0a1b-1/base", directory: "/srv/golden/"),
      PathMapping(prefix: "C:\\VMs", directory: "/srv/win"),
      PathMapping(prefix: "\\\\filer\\vms\\", directory: "/srv/win"),
      PathMapping(prefix: "[ds 2]", directory: "/srv/./ds2"),
    ])

  private func path(_ name: String, besides file: DiskFileName? = nil) throws -> String {
    let place = try names.place(of: name, besides: file)
    return "\(place.directory) : \(place.name)"
  }

  @Test(
    "a name leads to one place beneath the longest root that holds it",
    arguments: [
      ("web.vmdk", "/srv/ds1/web : web.vmdk"),
      ("./x//web.vmdk", "/srv/ds1/web : x/web.vmdk"),
      ("x/../web.vmdk", "/srv/ds1/web : web.vmdk"),
      ("../db/db.vmdk", "/srv/ds1 : db/db.vmdk"),
      ("../../golden/g.vmdk", "/srv/golden : g.vmdk"),
      ("snapshots\\web-000001.vmdk", "/srv/ds1/web : snapshots/web-000001.vmdk"),
      ("/srv/ds1/web/a.vmdk", "/srv/ds1/web : a.vmdk"),
      ("/srv/ds1/other/a.vmdk", "/srv/ds1 : other/a.vmdk"),
      ("/vmfs/volumes/5f3c0a1b-1/web/a.vmdk", "/srv/ds1/web : a.vmdk"),
      ("ds:///vmfs/volumes/5f3c0a1b-1/db/a.vmdk", "/srv/ds1 : db/a.vmdk"),
      ("/vmfs/volumes/5f3c0a1b-1/base/a.vmdk", "/srv/golden : a.vmdk"),
      ("/vmfs/volumes/5f3c0a1b-1/basement/a.vmdk", "/srv/ds1 : basement/a.vmdk"),
      ("c:\\vms\\Web\\A.vmdk", "/srv/win : Web/A.vmdk"),
      ("C:/VMs//Web/A.vmdk", "/srv/win : Web/A.vmdk"),
      ("\\\\FILER\\vms\\a.vmdk", "/srv/win : a.vmdk"),
      ("[ds 2] web/a.vmdk", "/srv/ds2 : web/a.vmdk"),
      ("[old] a.vmdk", "/srv/ds1/web : [old] a.vmdk"),
      ("a:b.vmdk", "/srv/ds1/web : a:b.vmdk"),
    ])
  func places(_ name: String, _ expected: String) throws {
    #expect(try path(name) == expected)
  }

  @Test("a relative name lies beside the file that has it")
  func besides() throws {
    let child = DiskFileName(directory: "/srv/ds1", name: "db/snapshots/c.vmdk")
    #expect(try path("p.vmdk", besides: child) == "/srv/ds1 : db/snapshots/p.vmdk")
    #expect(try path("../p.vmdk", besides: child) == "/srv/ds1 : db/p.vmdk")
    #expect(try path("../../web/p.vmdk", besides: child) == "/srv/ds1/web : p.vmdk")
    #expect(throws: DiskNames.Refusal.self) { try path("../../../../x/p.vmdk", besides: child) }
  }

  @Test(
    "what leads elsewhere is refused by name",
    arguments: [
      "/etc/passwd", "../../../etc/passwd", "../../golden2/x", "/srv/ds1/../../etc/passwd", "/srv/ds10/x",
      "/vmfs/volumes/other/x", "/vmfs/volumes/5f3c0a1b-1/../../../etc/passwd", "C:\\VMs2\\a", "D:\\a",
      "\\\\other\\vms\\a", "//srv/ds1/web/a", "[ds 2]../x", ".", "..", "/", "../web", "/srv/ds1/web",
      "/vmfs/volumes/5f3c0a1b-1", "C:\\VMs", "\\\\.\\PhysicalDrive0",
    ])
  func refused(_ name: String) throws {
    let error = try #require(throws: DiskNames.Refusal.self) { try path(name) }
    #expect(error.code == .nameLeavesFolder && error.detail.contains("the file name \""))
  }

  @Test("the operator's own paths may hold dots and double slashes")
  func untidyRoots() throws {
    let names = DiskNames(
      folder: "/srv/x/../ds1/./web//",
      mappings: [PathMapping(prefix: "/vmfs/volumes/a/", directory: "/srv//golden/../g")])
    #expect(names.folder == "/srv/ds1/web")
    #expect(
      try names.place(of: "a.vmdk", besides: nil) == DiskFileName(directory: "/srv/ds1/web", name: "a.vmdk"))
    #expect(
      try names.place(of: "/vmfs/volumes/a/b", besides: nil) == DiskFileName(directory: "/srv/g", name: "b"))
    #expect(throws: DiskNames.Refusal.self) { try names.place(of: "../b", besides: nil) }
  }

  @Test("a prefix that is mapped to two directories is refused, an equal one is not")
  func ambiguous() throws {
    func make(_ second: String) -> DiskNames {
      DiskNames(
        folder: "/a",
        mappings: [
          PathMapping(prefix: "/x", directory: "/b"), PathMapping(prefix: "/x", directory: second),
        ])
    }
    #expect(try make("/b/").place(of: "/x/y", besides: nil).path == "/b/y")
    let error = try #require(throws: DiskNames.Refusal.self) {
      try make("/c").place(of: "/x/y", besides: nil)
    }
    #expect(error.code == .ambiguousName)
  }

  @Test(
    "a parent is looked for where its hint says, then beside the child by its plain name",
    arguments: [
      ("base.vmdk", ["/srv/ds1/web/base.vmdk"]),
      ("old/base.vmdk", ["/srv/ds1/web/old/base.vmdk", "/srv/ds1/web/base.vmdk"]),
      ("/vmfs/volumes/5f3c0a1b-1/base/g.vmdk", ["/srv/golden/g.vmdk", "/srv/ds1/web/g.vmdk"]),
      ("/vmfs/volumes/unknown/x/g.vmdk", ["/srv/ds1/web/g.vmdk"]),
      ("D:\\VMs\\g.vmdk", ["/srv/ds1/web/g.vmdk"]),
      ("../../../../etc/g.vmdk", ["/srv/ds1/web/g.vmdk"]),
    ])
  func parents(_ hint: String, _ expected: [String]) throws {
    let child = DiskFileName(directory: "/srv/ds1/web", name: "c.vmdk")
    #expect(try names.parentPlaces(of: hint, besides: child).map(\.path) == expected)
  }

  @Test("a hint without a name is refused", arguments: ["", "..", "/", "a\u{7}"])
  func oddHints(_ hint: String) {
    let child = DiskFileName(directory: "/srv/ds1/web", name: "c.vmdk")
    #expect(throws: DiskNames.Refusal.self) { try names.parentPlaces(of: hint, besides: child) }
  }
}
