import ReplIO
import ReplModel
import ReplService
import Testing

@testable import ReplSender
@testable import ReplSource

/// A VM is its UUID, whatever its path and name.
@Suite("Identities")
struct RosterIdentityTests {
  private typealias Fixture = RosterFixture

  @Test("a VM that moved within watched folders keeps its identity and is not gone")
  func moved() throws {
    var fixture = Fixture()
    try fixture.watch("/ds", .protect)
    fixture.file("/ds/old/a.vmx", 1)
    _ = try fixture.step()
    fixture.files = [:]
    fixture.file("/ds/new/renamed.vmx", 1)
    let outcome = try fixture.step()
    #expect(outcome.claims == ["/ds/new/renamed.vmx": Fixture.id(1)])
    #expect(outcome.paths == ["/ds/new/renamed.vmx"] && outcome.gone.isEmpty)
  }

  @Test("an operator who corrects the path in the configuration keeps the VM's history")
  func corrected() throws {
    var fixture = Fixture()
    fixture.vms = ["/old/a.vmx"]
    fixture.file("/old/a.vmx", 1)
    _ = try fixture.step()
    fixture.files = [:]
    #expect(try fixture.step().claims == ["/old/a.vmx": Fixture.id(1)], "missing for a while is not gone")
    fixture.file("/new/a.vmx", 1)
    fixture.vms = ["/new/a.vmx"]
    let outcome = try fixture.step()
    #expect(outcome.claims == ["/new/a.vmx": Fixture.id(1)] && outcome.gone.isEmpty)
  }

  @Test("a named VM that moved into a watched folder is taken over by it, and the old path stands alone")
  func takenOver() throws {
    var fixture = Fixture()
    fixture.vms = ["/old/a.vmx"]
    try fixture.watch("/ds", .protect)
    fixture.file("/old/a.vmx", 1)
    _ = try fixture.step()
    fixture.files = [:]
    fixture.file("/ds/a/a.vmx", 1)
    let outcome = try fixture.step()
    #expect(outcome.claims == ["/ds/a/a.vmx": Fixture.id(1)] && outcome.gone.isEmpty)
    #expect(
      outcome.paths == ["/old/a.vmx", "/ds/a/a.vmx"], "its pass says that the configured file is missing")
  }

  @Test("a named VM that moved into a folder that only reports is told with both paths")
  func movedToReport() throws {
    var fixture = Fixture()
    fixture.vms = ["/old/a.vmx"]
    try fixture.watch("/ds", .report)
    fixture.file("/old/a.vmx", 1)
    _ = try fixture.step()
    fixture.files = [:]
    fixture.file("/ds/a/a.vmx", 1)
    let outcome = try fixture.step()
    #expect(outcome.claims == ["/old/a.vmx": Fixture.id(1)] && outcome.found.isEmpty)
    #expect(outcome.warnings.count == 1)
    #expect(outcome.warnings[0].contains("/old/a.vmx is no longer there"))
    #expect(outcome.warnings[0].contains("/ds/a/a.vmx"))
  }

  @Test(
    "of two live VMX with one UUID the one that was there first goes on, whatever the order",
    arguments: [["/b/b.vmx", "/a/a.vmx"], ["/a/a.vmx", "/b/b.vmx"]])
  func copies(order: [String]) throws {
    var fixture = Fixture()
    fixture.vms = order
    fixture.file("/a/a.vmx", 1)
    fixture.before = ["/a/a.vmx": Fixture.id(1)]
    fixture.file("/b/b.vmx", 1)
    let outcome = try fixture.step()
    #expect(outcome.claims == ["/a/a.vmx": Fixture.id(1)] && outcome.members.count == 2)
    // What cannot be read now is not gone.
    fixture.files["/a/a.vmx"] = .unknown(.io(IOError(.system(13), "open", path: "/a/a.vmx")))
    #expect(try fixture.step().claims == ["/a/a.vmx": Fixture.id(1)])
    // What is gone is.
    fixture.files["/a/a.vmx"] = nil
    #expect(try fixture.step().claims == ["/b/b.vmx": Fixture.id(1)])
    // And when it is back, it is the copy.
    fixture.file("/a/a.vmx", 1)
    #expect(try fixture.step().claims == ["/b/b.vmx": Fixture.id(1)])
  }

  @Test("of two new VMX with one UUID the first in the configuration is the VM")
  func newCopies() throws {
    var fixture = Fixture()
    fixture.vms = ["/b/b.vmx", "/a/a.vmx"]
    fixture.file("/a/a.vmx", 1)
    fixture.file("/b/b.vmx", 1)
    #expect(try fixture.decide().claims == ["/b/b.vmx": Fixture.id(1)])
  }

  @Test("a copy in a folder that reports is found with its reason, and not as the VM that is protected")
  func foundCopy() throws {
    var fixture = Fixture()
    fixture.vms = ["/a/a.vmx"]
    try fixture.watch("/ds", .report)
    fixture.file("/a/a.vmx", 1)
    fixture.file("/ds/c/c.vmx", 1)
    let found = try #require(try fixture.decide().found.first)
    #expect(found.id == VMIdentity.standIn(for: "/ds/c/c.vmx"))
    #expect(found.problem?.contains("has the same UUID as /a/a.vmx") == true)
  }

  @Test("a re-created VM at the same path is another VM; the old one is gone and says what happened")
  func recreated() throws {
    var fixture = Fixture()
    fixture.vms = ["/a/a.vmx"]
    fixture.file("/a/a.vmx", 1)
    _ = try fixture.step()
    fixture.file("/a/a.vmx", 2)
    for _ in 0..<2 {
      let outcome = try fixture.step()
      #expect(outcome.claims == ["/a/a.vmx": Fixture.id(2)])
      let gone = try #require(outcome.gone[Fixture.id(1)])
      #expect(gone.cause.contains("/a/a.vmx is another VM now (UUID \(Fixture.id(2)))"))
    }
    // The old one comes back at another path: it goes on where it was.
    fixture.vms.append("/b/a.vmx")
    fixture.file("/b/a.vmx", 1)
    let outcome = try fixture.step()
    #expect(outcome.claims["/b/a.vmx"] == Fixture.id(1) && outcome.gone.isEmpty)
  }

  @Test("two VMs that change places keep their own histories")
  func swapped() throws {
    var fixture = Fixture()
    fixture.vms = ["/a/a.vmx", "/b/b.vmx"]
    fixture.file("/a/a.vmx", 1)
    fixture.file("/b/b.vmx", 2)
    _ = try fixture.step()
    fixture.file("/a/a.vmx", 2)
    fixture.file("/b/b.vmx", 1)
    let outcome = try fixture.step()
    #expect(outcome.claims == ["/a/a.vmx": Fixture.id(2), "/b/b.vmx": Fixture.id(1)])
    #expect(outcome.gone.isEmpty)
  }

  @Test("a VM that is gone and was seen in a folder that reports says where it lies now")
  func goneAndFound() throws {
    var fixture = Fixture()
    try fixture.watch("/ds1", .protect)
    try fixture.watch("/ds2", .report)
    fixture.file("/ds1/a/a.vmx", 1)
    _ = try fixture.step()
    fixture.files = [:]
    fixture.file("/ds2/a/a.vmx", 1)
    for _ in 0..<2 {
      let outcome = try fixture.step()
      let cause = try #require(outcome.gone[Fixture.id(1)]?.cause)
      #expect(cause.split(separator: "/ds2/a/a.vmx, which is not protected").count == 1, "\(cause)")
      #expect(outcome.found.isEmpty)
    }
  }

  @Test("a VM that is gone and comes back unreadable is known by its path")
  func backUnreadable() throws {
    var fixture = Fixture()
    try fixture.watch("/ds", .protect)
    fixture.file("/ds/a/a.vmx", 1)
    _ = try fixture.step()
    fixture.files = [:]
    _ = try fixture.step()
    fixture.files = ["/ds/a/a.vmx": .unknown(.io(IOError(.system(5), "read", path: "/ds/a/a.vmx")))]
    let outcome = try fixture.step()
    #expect(outcome.claims == ["/ds/a/a.vmx": Fixture.id(1)] && outcome.gone.isEmpty)
  }

  @Test("the line for the configuration is YAML that reads back as the path")
  func configLine() throws {
    for path in ["/ds/a/a.vmx", "/ds/my vm: #1/it's \"x\\y\".vmx", "/ds/ä/*.vmx", "/ds/[a]/{b}, - c.vmx"] {
      let fingerprint = "sha256:" + String(repeating: "ab", count: 32)
      let text =
        "receiver: {address: \"dr:7443\", fingerprint: \(fingerprint)}\nvms:\n  \(ConfigLine.vm(path))\n"
      #expect(try SenderConfig.parse(text, path: "s.yaml").vms.map(\.vmxPath) == [path])
    }
    #expect(ConfigLine.vm("/ds/a/a.vmx") == "- /ds/a/a.vmx")
  }
}
