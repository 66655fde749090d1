import ReplCompression
import ReplModel
import Testing

@testable import ReplProtocol

@Suite("agreement of two hellos")
struct AgreementTests {
  private func agree(_ change: (inout Hello) -> Void) throws -> Agreement {
    var remote = Fixture.hello(.target)
    change(&remote)
    return try Agreement(local: Fixture.hello(.source), remote: remote, now: Fixture.time)
  }

  @Test("both sides compute the same")
  func symmetry() throws {
    var remote = Fixture.hello(.target)
    remote.limits = Hello.Bounds(batchBytes: 65536, disks: 8)
    remote.features = ["tree", "later"]
    let local = Fixture.hello(.source)
    let here = try Agreement(local: local, remote: remote, now: Fixture.time)
    let there = try Agreement(local: remote, remote: local, now: Fixture.time)
    #expect(here == there)
    #expect(here.features == [.tree])
    #expect(here.batchBytes == 65536)
    #expect(here.disks == 8)
    #expect(here.limits.batchRawBytes == 65536)
    #expect(here.limits.disks == 8)
  }

  @Test("zstd is preferred where both have it, unknown codecs are ignored")
  func codecs() throws {
    #expect(try agree { $0.codecs.append("lz9") }.preferredCodec == .zstd)
    let old = try agree { $0.codecs = ["raw", "zlib", "lz9"] }
    #expect(old.codecs == [.raw, .zlib])
    #expect(old.preferredCodec == .zlib)
  }

  @Test("an unknown feature is ignored, an unknown mandatory one refused by name")
  func mandatoryFeatures() throws {
    #expect(try agree { $0.features += ["later"] }.features == Set(Feature.allCases))
    #expect(try agree { $0.features = ["!tree"] }.features == [.tree])
    let error = #expect(throws: ProtocolError.mandatoryFeature("la?ter")) {
      try agree { $0.features += ["!la\u{1B}ter"] }
    }
    #expect(error?.number == .unsupported)
    #expect(error?.description.contains("upgrade this side") == true)
  }

  @Test("two sources are refused, and so is a hello with another version than the banners gave")
  func roleAndVersion() {
    #expect(throws: ProtocolError.sameRole(.source)) { try agree { $0.role = .source } }
    let error = #expect(throws: ProtocolError.self) { try agree { $0.protocolVersion = 2 } }
    #expect(error?.description == "hello: protocol is 2, expected 1, which the banners gave")
  }

  @Test("the clock skew has a sign, and no time can overflow it")
  func clockSkew() throws {
    let ahead = try agree {
      $0.wallTime = WallTime(millisecondsSince1970: Fixture.time.millisecondsSince1970 + 600_000)
    }
    #expect(ahead.clockSkewSeconds == 600)
    let behind = try agree {
      $0.wallTime = WallTime(millisecondsSince1970: Fixture.time.millisecondsSince1970 - 1500)
    }
    #expect(behind.clockSkewSeconds == -1.5)
    #expect(
      try agree { $0.wallTime = WallTime(millisecondsSince1970: .min) }.clockSkewSeconds < -9e15)
  }
}
