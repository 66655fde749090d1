import Foundation
import Testing

@testable import ReplService

/// The sample configurations of `systemd/`, and files that are wrong on purpose.
@Suite("Configuration files")
struct ConfigSampleTests {
  static let invalidFiles = files(in: folder("Configs/invalid"))
  static let samples = files(in: repository.appendingPathComponent("systemd"))

  @Test("every sample configuration parses", arguments: samples)
  func sampleParses(_ file: URL) throws {
    if file.lastPathComponent.contains("sender") {
      let config = try SenderConfig.load(path: file.path)
      #expect(config.vms.count == 2)
    } else {
      let config = try ReceiverConfig.load(path: file.path)
      #expect(config.stores.count == 1)
    }
  }

  static let examples = files(in: repository.appendingPathComponent("systemd/examples"))

  @Test("every example of a configuration parses", arguments: examples)
  func exampleParses(_ file: URL) throws {
    let config = try SenderConfig.load(path: file.path)
    #expect(!config.vms.isEmpty)
  }

  @Test("the example of freezing shows every provider")
  func everyProvider() throws {
    let file = try #require(Self.examples.first { $0.lastPathComponent == "sender-freeze.yaml" })
    let providers = try SenderConfig.load(path: file.path).vms.map(\.freeze.provider.name)
    #expect(providers == SenderConfigSchema.providers)
  }

  @Test("the example of hints shows every source")
  func everyHint() throws {
    let file = try #require(Self.examples.first { $0.lastPathComponent == "sender-hints.yaml" })
    let sources = try SenderConfig.load(path: file.path).vms.map(\.hints.provider.name)
    #expect(sources == ["none", "reflink", "chain", "command"])
  }

  @Test("a sample shows the defaults: uncommenting a line changes nothing", arguments: samples)
  func commentedDefaultsAreTheDefaults(_ file: URL) throws {
    let text = try String(contentsOf: file, encoding: .utf8)
    // Defaults are commented out at the left edge, as `# key: value`; `ca:` is an alternative, not a default.
    let uncommented = text.split(separator: "\n", omittingEmptySubsequences: false).map { line -> String in
      line.wholeMatch(of: /# ([a-z_]+: \S.*)/).map { String($0.1) } ?? String(line)
    }.joined(separator: "\n")
    #expect(uncommented != text)
    if file.lastPathComponent.contains("sender") {
      #expect(try SenderConfig.parse(uncommented, path: "x") == SenderConfig.parse(text, path: "x"))
    } else {
      #expect(try ReceiverConfig.parse(uncommented, path: "x") == ReceiverConfig.parse(text, path: "x"))
    }
  }

  @Test("an invalid configuration fails with exactly the expected lines and columns", arguments: invalidFiles)
  func invalidFails(_ file: URL) throws {
    let text = try String(contentsOf: file, encoding: .utf8)
    let expected = text.split(whereSeparator: \.isNewline).compactMap { line in
      line.hasPrefix("# expect: ") ? String(line.dropFirst(10)) : nil
    }
    try #require(!expected.isEmpty)
    let error = try #require(throws: ConfigError.self) {
      if file.lastPathComponent.hasPrefix("sender-") {
        _ = try SenderConfig.load(path: file.path)
      } else {
        _ = try ReceiverConfig.load(path: file.path)
      }
    }
    let found = error.description.split(separator: "\n").map { $0.dropFirst(file.path.count + 1) }
    #expect(found.count == expected.count, "\(found)")
    for (line, beginning) in zip(found, expected) {
      #expect(line.hasPrefix(beginning), "found \(line), expected \(beginning)")
    }
  }

  @Test("the samples and the invalid files are there")
  func filesAreThere() {
    #expect(Self.samples.map(\.lastPathComponent) == ["receiver.yaml", "sender.yaml"])
    #expect(
      Self.examples.map(\.lastPathComponent) == [
        "sender-bandwidth.yaml", "sender-folders.yaml", "sender-freeze.yaml", "sender-hints.yaml",
      ])
    #expect(Self.invalidFiles.count >= 25)
  }

  static let repository = folder("../..").standardizedFileURL

  static func folder(_ path: String) -> URL {
    URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent(path)
  }

  static func files(in folder: URL) -> [URL] {
    // A missing folder gives an empty list, which the last test notices.
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
    return names.filter { $0.hasSuffix(".yaml") }.sorted().map { folder.appendingPathComponent($0) }
  }
}
