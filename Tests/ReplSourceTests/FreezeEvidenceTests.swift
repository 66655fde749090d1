import Foundation
import Glibc
import ReplIO
import ReplModel
import Testing

@testable import ReplSource

@Suite("What shows that a VM runs, and which disks take part") struct FreezeEvidenceTests {
  private func refusal(_ folder: PrimaryFolder) throws -> String {
    "\(try #require(#expect(throws: SourceError.self) { try folder.view() }))"
  }

  @Test(
    "locks and swap files refuse a pass without a freeze",
    arguments: ["web-564d.vswp", "vmx-web-1.vswp", ".lck-0100000000", "web.vmx.lck", "web.vmdk.lck"])
  func files(name: String) throws {
    let folder = try PrimaryFolder()
    try folder.write(name, [])
    #expect(try refusal(folder).contains(name))
  }

  @Test("a lock directory of a hosted product counts while it has a member, and its holder is named")
  func lockDirectory() throws {
    let folder = try PrimaryFolder()
    try #require(mkdir("\(folder.path)/web.vmdk.lck", 0o700) == 0)
    #expect(try folder.view().label == .crashConsistent)
    var member = Array("bWFjaGluZQ== 2752-131245(vmware-vmx) 1 X 131245 lc=abc".utf8)
    member += [UInt8](repeating: 0, count: 512 - member.count)
    try folder.write("web.vmdk.lck/M12345.lck", member)
    let sentence = try refusal(folder)
    #expect(sentence.contains("web.vmdk.lck/M12345.lck") && sentence.contains("2752-131245(vmware-vmx)"))
    try folder.remove("web.vmdk.lck/M12345.lck")
    try folder.write("web.vmdk.lck/E00001.lck", [])
    #expect(try refusal(folder).contains("E00001"))
  }

  @Test("cleanShutdown FALSE alone is a warning and no evidence")
  func cleanShutdown() throws {
    let folder = try PrimaryFolder(extra: "cleanShutdown = \"FALSE\"\n")
    let view = try folder.view()
    #expect(view.label == .crashConsistent)
    try view.checkUnchanged()
  }

  @Test("a disk is excluded by its slot before it is judged, and by its UUID")
  func excluded() throws {
    let folder = try PrimaryFolder(
      disks: ["web", "data"], extra: "scsi0:1.mode = \"independent-nonpersistent\"\n")
    #expect(try refusal(folder).contains("nonpersistent"))
    let uuid = "60 00 C2 9a 11 22 33 44-55 66 77 88 99 aa bb cc"
    let descriptor = PrimaryFolder.descriptor(flat: "data-flat.vmdk") + "ddb.uuid = \"\(uuid)\"\n"
    try folder.write("data.vmdk", Array(descriptor.utf8))
    for selector in ["scsi0:1", "6000C29a-1122-3344-5566-778899aabbcc"] {
      var request = ViewRequest(vmxPath: folder.vmxPath)
      request.excludedDisks = [try #require(DiskSelector(selector))]
      let view = try folder.freezer().take(request)
      #expect(view.excluded == [DiskSlot("scsi0:1")!] && view.disks.map(\.slot) == [DiskSlot("scsi0:0")!])
    }
    var all = ViewRequest(vmxPath: folder.vmxPath)
    all.excludedDisks = [.slot(DiskSlot("scsi0:0")!), .slot(DiskSlot("scsi0:1")!)]
    let error = try #require(
      #expect(throws: SourceError.self) { try folder.freezer().take(all) })
    #expect("\(error)".contains("scsi0:0 is excluded"))
  }

  @Test(
    "what is neither a slot nor a UUID selects nothing", arguments: ["", "scsi0", "6000C29a", "web.vmdk"])
  func selectors(text: String) { #expect(DiskSelector(text) == nil) }
}
