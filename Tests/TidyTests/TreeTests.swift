import Foundation
import Testing

/// The rules of CONTRIBUTING.md that a machine can hold, over every Swift file of the repository.
@Suite("Tidy")
struct TreeTests {
  @Test("imports follow the layering table")
  func layering() { report(LayeringRule.check) }

  @Test("files, functions and lines are short")
  func lengths() {
    report(LengthRule.check)
    for file in RepositoryTree.files {
      if let warning = LengthRule.warning(file) { Issue.record("\(warning)", severity: .warning) }
    }
  }

  @Test("nothing calls what is banned")
  func bannedCalls() { report(BannedRule.check) }

  @Test("every public declaration is documented")
  func documentation() { report(DocumentationRule(files: RepositoryTree.files).check) }

  @Test("every exception still names a file")
  func exceptionsAreCurrent() {
    let paths = Set(RepositoryTree.files.map(\.path))
    for exception in BannedRule.exceptions {
      #expect(paths.contains(exception.path), "the exception for \(exception.path) is out of date; remove it")
    }
    for exception in LengthRule.longLines {
      #expect(paths.contains(exception.path), "the exception for \(exception.path) is out of date; remove it")
    }
    for exception in LayeringRule.sideways {
      #expect(LayeringRule.layers[exception.target] != nil && LayeringRule.layers[exception.module] != nil)
    }
  }

  @Test("the scan sees the repository")
  func scanSeesFiles() {
    let paths = Set(RepositoryTree.files.map(\.path))
    #expect(paths.contains("Sources/ReplModel/Identifier.swift"))
    #expect(paths.contains("bench/ReplBench/ReplBench.swift"))
    #expect(paths.contains("Tests/TidyTests/TreeTests.swift"))
  }

  private func report(_ check: (SourceFile) -> [Finding]) {
    let findings = RepositoryTree.files.flatMap(check)
    for finding in findings { Issue.record("\(finding)") }
    #expect(findings.isEmpty, "\(findings.count) findings")
  }
}
