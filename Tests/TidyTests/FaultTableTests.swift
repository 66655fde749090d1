import Foundation
import Testing

/// `Tests/FAULTS.md` says for each fault which test injects it, or why it cannot run here. The table is true:
/// every row is there once, and every test that it names stands in the file that it names.
@Suite("Fault table")
struct FaultTableTests {
  /// The rows that the table must have.
  static let rows = Set(
    Array(1...28) + [36, 37, 41, 42, 46, 47] + Array(50...63) + Array(71...74) + [76, 83, 84] + Array(86...90)
      + [
        96, 99, 100,
      ])

  struct Row {
    let number: String
    let cells: [String]
    /// `File.swift`, "sentence".
    var tests: [(file: String, sentence: String)] {
      cells[2].matches(of: /`([A-Za-z0-9+\/]+\.swift)`((?:, "[^"]+")+)/).flatMap { match in
        match.2.matches(of: /"([^"]+)"/).map { (String(match.1), String($0.1)) }
      }
    }
  }

  static func table() throws -> [Row] {
    let text = try String(
      contentsOf: RepositoryTree.root.appendingPathComponent("Tests/FAULTS.md"), encoding: .utf8)
    return text.split(separator: "\n").compactMap { line in
      guard line.hasPrefix("| ") else { return nil }
      let cells = line.dropFirst(2).dropLast(2).components(separatedBy: " | ")
      guard let first = cells.first, first.contains(/^C?[0-9]+$/) else { return nil }
      return Row(number: first, cells: cells)
    }
  }

  @Test("every row of the fault matrix is in the table exactly once, in order")
  func complete() throws {
    let table = try Self.table()
    for row in table { #expect(row.cells.count == 3, "row \(row.number): \(row.cells.count) columns") }
    let numbers = table.compactMap { Int($0.number) }
    #expect(Set(numbers).count == numbers.count, "a row twice")
    #expect(numbers == numbers.sorted())
    let missing = Self.rows.subtracting(numbers)
    #expect(missing.isEmpty, "rows \(missing.sorted()) are missing")
    #expect(Set(numbers).subtracting(Self.rows).isEmpty, "rows that nobody asked for")
  }

  @Test("every row names a test, or says why it cannot run; every test that is named exists in its file")
  func namedTestsExist() throws {
    let sources = Dictionary(
      RepositoryTree.files.filter { $0.part == .tests }.map { file in
        (String(file.path.dropFirst("Tests/".count)), Self.joined(file.text.lines))
      }, uniquingKeysWith: { first, _ in first })
    var named = 0
    for row in try Self.table() {
      #expect(
        !row.tests.isEmpty || row.cells[2].hasPrefix("cannot run here: "), "row \(row.number) names no test")
      for (file, sentence) in row.tests {
        named += 1
        guard let source = sources[file] else {
          Issue.record("row \(row.number): there is no Tests/\(file)")
          continue
        }
        #expect(
          source.contains("\"\(sentence)\""), "row \(row.number): Tests/\(file) has no test \"\(sentence)\"")
      }
    }
    #expect(named > 50, "the table was read")
  }

  @Test("no source names a folder that everybody can write to")
  func noTemporaryFolder() {
    let words = [
      "/tmp", "NSTemporaryDirectory", "temporaryDirectory", "mkstemp", "mkdtemp", "tmpfile", "TMPDIR",
    ]
    for file in RepositoryTree.files where file.part == .sources && file.target != "ReplTestKit" {
      for (number, line) in file.text.lines.enumerated() where !file.text.code[number].isEmpty {
        for word in words where line.contains(word) && !file.text.comments[number].contains(word) {
          Issue.record(
            "\(file.path):\(number + 1): \(word): files are made beneath state_dir and stores only")
        }
      }
    }
  }

  private static func joined(_ lines: [String]) -> String { lines.joined(separator: "\n") }
}
