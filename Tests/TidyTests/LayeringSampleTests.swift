import Testing

/// The layering rule fires on what it is for.
@Suite("Layering rule")
struct LayeringSampleTests {
  private func advice(_ target: String, _ text: String) -> [String] {
    LayeringRule.check(SourceFile(target: target, text: text)).map { "\($0.line) \($0.advice)" }
  }

  @Test(
    "an import that the table does not allow is found",
    arguments: [
      // Up, sideways, and down with what is never allowed.
      ("ReplIO", "import ReplVMDK", "imports point down"),
      ("ReplTLS", "import ReplCompression", "imports point down"),
      ("ReplModel", "import ReplIO", "imports point down"),
      ("ReplIO", "import ReplDigest", "imports point down"),
      ("ReplService", "import ReplPass", "imports point down"),
      ("ReplStandby", "import ReplVMDK", "hands it the descriptor writer"),
      ("ReplDigest", "import ReplVMDK", "BlockReadable"),
      // C libraries stay in their wrappers.
      ("ReplStandby", "import COpenSSL", "imported only by ReplDigest, ReplTLS"),
      ("ReplTransport", "import CLinux", "imported only by ReplIO"),
      ("ReplDigest", "import CZlib", "imported only by ReplCompression"),
      // Modules that are not ours.
      ("ReplModel", "import Glibc", "may not import Glibc"),
      ("ReplProtocol", "import Glibc", "may not import Glibc"),
      ("ReplStandby", "import Logging", "may not import Logging"),
      ("ReplPass", "import Foundation", "may not import Foundation"),
      ("ReplSender", "import NIOCore", "may not import NIOCore"),
      // Every spelling of an import.
      ("ReplModel", "@preconcurrency import Glibc", "may not import Glibc"),
      ("ReplModel", "public import Glibc", "may not import Glibc"),
      ("ReplModel", "@_exported public import struct Foundation.Data", "may not import Foundation"),
      ("ReplModel", "internal import Glibc // ours", "may not import Glibc"),
      ("ReplNew", "let x = 1", "not in the layering table"),
    ])
  func fires(target: String, text: String, expected: String) {
    let found = advice(target, text)
    #expect(found.count == 1)
    #expect(found.first?.contains(expected) == true, "\(found)")
  }

  @Test(
    "imports that the table allows pass",
    arguments: [
      ("ReplTLS", "import COpenSSL\nimport Glibc\nimport ReplIO\nimport ReplModel\nimport Synchronization"),
      ("ReplDigest", "import ReplIO"),
      ("ReplService", "import Logging\nimport NIOCore\nimport Yams"),
      ("ReplSender", "import ArgumentParser\nimport ReplPass\nimport ReplService"),
      ("ReplModel", "// import Glibc\nlet text = \"import Glibc\"\n/* import Glibc */\n"),
      ("ReplModel", "let text = \"\"\"\n  import Glibc\n  \"\"\""),
    ])
  func passes(target: String, text: String) {
    #expect(advice(target, text) == [])
  }

  @Test("the place of the import is named")
  func namesTheLine() {
    #expect(advice("ReplModel", "// A file.\n\nimport Glibc").first?.hasPrefix("3 ") == true)
  }

  @Test("every level is above what it needs: the table has no cycle")
  func tableHasNoCycle() {
    for exception in LayeringRule.sideways {
      let back = LayeringRule.sideways.contains {
        $0.target == exception.module && $0.module == exception.target
      }
      #expect(!back)
    }
    #expect(LayeringRule.layers.values.map(\.level).min() == 0)
  }
}
