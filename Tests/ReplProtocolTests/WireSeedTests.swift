import Glibc
import ReplProtocol
import Testing

/// The inputs that `scripts/fuzz wire` starts from: every message of the golden tests, and a stream of them.
///
/// When a message changes, `VMREPL_WRITE_FUZZ_SEEDS=1 swift test --filter WireSeedTests` writes them anew.
@Suite("wire seeds") struct WireSeedTests {
  private static let folder =
    String(#filePath.split(separator: "/").dropLast(2).reduce("") { "\($0)/\($1)" }) + "/Fuzz/wire-seeds"

  private static func seeds() throws -> [(name: String, bytes: [UInt8])] {
    var seeds: [(name: String, bytes: [UInt8])] = []
    var stream = [UInt8(ascii: "s")]
    for (number, (type, payload)) in try Fixture.payloads().enumerated() {
      seeds.append(("\(type)-\(number)", [type.rawValue] + payload))
      let header = try FrameHeader(type: type, payloadLength: payload.count, sequence: UInt64(number))
      stream += header.encode() + payload
    }
    let vmx =
      "\u{FEFF}.encoding = \"UTF-8\"\r\ndisplayName = \"a|22b\"\n# c\nscsi0:0.fileName=\"x.vmdk\"\nodd\n"
    return seeds + [
      ("stream", stream), ("vmx", [UInt8(ascii: "v")] + Array(vmx.utf8)),
      ("banner", [UInt8(ascii: "b")] + Array("vmrepl 0.1.0 protocol 1-1\n".utf8)),
    ]
  }

  @Test("the seeds of the wire fuzzer are what the golden messages make")
  func seedsAreCurrent() throws {
    let seeds = try Self.seeds()
    #expect(Set(seeds.map(\.name)).count == seeds.count && seeds.count > 15)
    for (name, bytes) in seeds {
      let path = "\(Self.folder)/\(name)"
      if getenv("VMREPL_WRITE_FUZZ_SEEDS") != nil {
        let file = try #require(fopen(path, "wb"))
        #expect(fwrite(bytes, 1, bytes.count, file) == bytes.count)
        fclose(file)
      }
      let file = try #require(fopen(path, "rb"), "\(path) is missing")
      defer { fclose(file) }
      var found = [UInt8](repeating: 0, count: bytes.count + 1)
      found.removeLast(found.count - fread(&found, 1, found.count, file))
      #expect(found == bytes, "\(name): write the seeds anew")
    }
  }
}
