import ReplIO
import ReplModel
import ReplService
import Testing

@testable import ReplSender
@testable import ReplSource

/// Watched folders: who joins, who is only shown, and what an unreadable folder does not change.
@Suite("Watched folders")
struct RosterFolderTests {
  private typealias Fixture = RosterFixture
  private let denied = SourceError.io(IOError(.system(13), "open", path: "/ds"))

  @Test("a VM in a folder that protects joins with the folder's values; one that is excluded does not")
  func protect() throws {
    var fixture = Fixture()
    try fixture.watch("/ds", .protect, exclude: ["templates"])
    fixture.file("/ds/a/a.vmx", 1, name: "web")
    fixture.file("/ds/templates/t.vmx", 2)
    let outcome = try fixture.decide()
    #expect(outcome.paths == ["/ds/a/a.vmx"] && outcome.found.isEmpty && outcome.gone.isEmpty)
    let member = try #require(outcome.members.first)
    #expect(member.folder == "/ds" && member.displayName == "web" && member.vm.intervalSeconds == 300)
    #expect(outcome.claims == ["/ds/a/a.vmx": Fixture.id(1)])
  }

  @Test("a VM in a folder that reports is found, with its own identity, and no pass runs for it")
  func report() throws {
    var fixture = Fixture()
    try fixture.watch("/ds", .report)
    fixture.file("/ds/a/a.vmx", 1, name: "web")
    let outcome = try fixture.decide()
    #expect(outcome.members.isEmpty && outcome.claims.isEmpty)
    let found = RosterOutcome.Found(
      path: "/ds/a/a.vmx", folder: "/ds", id: Fixture.id(1), name: "web", problem: nil)
    #expect(outcome.found == [found])
  }

  @Test("a VM that is named, found by an earlier folder, or reached through a link is not there twice")
  func notDoubled() throws {
    var fixture = Fixture()
    fixture.vms = ["/ds/a/a.vmx", "/link/b.vmx"]
    try fixture.watch("/ds/c", .report)
    try fixture.watch("/ds", .protect)
    try fixture.watch("/", .protect)
    fixture.file("/ds/a/a.vmx", 1)
    fixture.file("/link/b.vmx", 2)
    fixture.file("/ds/b/b.vmx", 2)
    fixture.links = ["/ds/b/b.vmx": "/link/b.vmx"]
    fixture.file("/ds/c/c.vmx", 3)
    fixture.file("/ds/d/d.vmx", 4)
    let outcome = try fixture.decide()
    #expect(outcome.paths == ["/ds/a/a.vmx", "/link/b.vmx", "/ds/d/d.vmx"])
    #expect(outcome.members.map(\.folder) == [nil, nil, "/ds"])
    #expect(outcome.found.map(\.path) == ["/ds/c/c.vmx"], "the first folder that takes a path decides")
  }

  @Test("a folder that cannot be read, or a part of it, forgets nobody and is a warning")
  func unreadable() throws {
    var fixture = Fixture()
    try fixture.watch("/ds", .protect)
    fixture.file("/ds/a/a.vmx", 1)
    fixture.file("/ds/b/b.vmx", 2)
    #expect(try fixture.step().members.count == 2)
    fixture.failures = [0: denied]
    fixture.files = ["/ds/a/a.vmx": .unknown(denied), "/ds/b/b.vmx": .unknown(denied)]
    var outcome = try fixture.step()
    #expect(outcome.paths == ["/ds/a/a.vmx", "/ds/b/b.vmx"] && outcome.gone.isEmpty)
    #expect(outcome.claims.count == 2 && outcome.warnings.count == 1)
    #expect(
      outcome.warnings[0].contains("Permission denied") && outcome.warnings[0].contains("stay protected"))
    fixture.failures = [:]
    fixture.unread = [0: ["b"]]
    outcome = try fixture.step()
    #expect(outcome.claims["/ds/b/b.vmx"] == Fixture.id(2) && outcome.gone.isEmpty)
    fixture.failures = [0: denied]
    fixture.files = [:]
    outcome = try fixture.step()
    #expect(outcome.claims.count == 2, "also when the whole folder is missing")
  }

  @Test("a VM that vanishes from a folder that can be read is gone, with what to do, until it is back")
  func gone() throws {
    var fixture = Fixture()
    try fixture.watch("/ds", .protect)
    fixture.file("/ds/a/a.vmx", 1)
    _ = try fixture.step()
    let file = fixture.files.removeValue(forKey: "/ds/a/a.vmx")
    for _ in 0..<2 {
      let outcome = try fixture.step()
      #expect(outcome.members.isEmpty && outcome.claims.isEmpty)
      let gone = try #require(outcome.gone[Fixture.id(1)])
      #expect(gone.cause.contains("/ds/a/a.vmx is no longer there") && gone.at == Fixture.moment)
      #expect(gone.cause.contains("repl-sender forget \(Fixture.id(1))"))
    }
    fixture.files["/ds/a/a.vmx"] = file
    let back = try fixture.step()
    #expect(back.claims == ["/ds/a/a.vmx": Fixture.id(1)] && back.gone.isEmpty)
  }

  @Test("a VM that is forgotten, or that the patterns leave out by now, is not gone")
  func forgotten() throws {
    var fixture = Fixture()
    try fixture.watch("/ds", .protect)
    fixture.file("/ds/a/a.vmx", 1)
    _ = try fixture.step()
    fixture.files = [:]
    #expect(try fixture.step().gone.count == 1)
    var excluding = fixture
    excluding.folders = []
    try excluding.watch("/ds", .protect, exclude: ["a"])
    #expect(try excluding.step().gone.isEmpty)
    fixture.gone = [:]
    #expect(try fixture.step().gone.isEmpty)
  }

  @Test("a VM without an identity is shown with its reason, and is protected under the name of its path")
  func noIdentity() throws {
    let reason = SourceError.noIdentity(path: "/ds/a/a.vmx", suggestion: "uuid.bios = ...")
    var fixture = Fixture()
    try fixture.watch("/ds", .report)
    fixture.files = ["/ds/a/a.vmx": .unknown(reason)]
    let found = try #require(try fixture.decide().found.first)
    #expect(found.problem == "\(reason)" && found.id == VMIdentity.standIn(for: "/ds/a/a.vmx"))
    fixture.folders = []
    try fixture.watch("/ds", .protect)
    let outcome = try fixture.decide()
    #expect(outcome.paths == ["/ds/a/a.vmx"] && outcome.claims.isEmpty)
  }

  @Test("more than a thousand found VMs are counted, not listed")
  func manyFound() throws {
    var fixture = Fixture()
    try fixture.watch("/ds", .report)
    for number in 1...1005 { fixture.file("/ds/vm\(number)/a.vmx", UInt64(number)) }
    let outcome = try fixture.decide()
    #expect(outcome.found.count == 1000)
    #expect(
      outcome.warnings == [
        "5 more VMs that are found and not protected are not listed: `repl-sender discover` lists all"
      ])
  }
}
