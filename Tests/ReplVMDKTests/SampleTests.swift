import FoundationEssentials
import Glibc
import ReplIO
import ReplModel
import Testing

@testable import ReplVMDK

/// A folder of images with a manifest: those under `read` with size and SHA-256 of their content, those under
/// `refuse` that must not be read.
private struct Samples: Decodable {
  struct Image: Decodable {
    let open: String
    let bytes: Int64?
    let sha256: String?
  }

  let read: [String: Image]
  let refuse: [String: Image]

  static let folder: String? = getenv("VMREPL_SAMPLES").map { String(cString: $0) }

  static func load() throws -> Samples {
    let directory = try PosixDirectory(path: try #require(folder))
    let text = try directory.readFile("manifest.json", limitBytes: 1 << 20)
    return try JSONDecoder().decode(Samples.self, from: Data(text))
  }
}

@Suite(
  "a folder of samples",
  .enabled(if: Samples.folder != nil, "VMREPL_SAMPLES names no folder with samples and their manifest"))
struct SampleTests {
  private func open(_ image: Samples.Image) throws -> VMDKImage {
    let parts = try #require(Samples.folder) + "/" + image.open
    let name = try #require(parts.split(separator: "/").last)
    let folder = try PosixDirectory(path: String(parts.dropLast(name.count)))
    return try VMDKImage.open(String(name), in: folder)
  }

  @Test("each image that must be read has the content that the manifest says")
  func reading() throws {
    let scratch = try TestFolder()
    for (name, image) in try Samples.load().read.sorted(by: { $0.key < $1.key }) {
      let disk = try open(image)
      let content = try contents(of: disk)
      #expect(disk.sizeBytes == image.bytes, "\(name)")
      try scratch.write("content", content)
      let output = try QemuImg.run("sha256sum", ["content"], in: scratch)
      #expect(output.text.prefix(64) == image.sha256.map { $0[...] }, "\(name)")
      // What lies outside of the allocated ranges is zeros.
      var covered = [UInt8](repeating: 0, count: content.count)
      for range in try allocatedRanges(of: disk) {
        covered.replaceSubrange(Int(range.offset)..<Int(range.end), with: try bytes(of: disk, range))
      }
      #expect(covered == content, "\(name)")
      Issue.record("\(name): read, \(disk.links.count) links, \(disk.warnings)", severity: .warning)
    }
  }

  @Test("each image that must be refused is refused, at opening or when it is read")
  func refusing() throws {
    for (name, image) in try Samples.load().refuse.sorted(by: { $0.key < $1.key }) {
      let error = #expect(throws: (any Error).self, "\(name)") {
        let disk = try open(image)
        _ = try contents(of: disk)
      }
      #expect(error is VMDKError || error is IOError)
      Issue.record("\(name): refused: \(error.map { "\($0)" } ?? "not")", severity: .warning)
    }
  }
}
