import Foundation

/// A Swift file of the repository.
struct SourceFile: Sendable {
  enum Part: Sendable {
    case sources, tests
  }

  let part: Part
  /// The folder below `Sources` or `Tests`.
  let target: String
  /// From the repository's root.
  let path: String
  let text: SwiftText

  /// For samples: a file that is not on disk.
  init(part: Part = .sources, target: String, name: String = "Sample.swift", text: String) {
    self.part = part
    self.target = target
    path = "\(part == .sources ? "Sources" : "Tests")/\(target)/\(name)"
    self.text = SwiftText(text)
  }

  init(part: Part, target: String, path: String, text: SwiftText) {
    self.part = part
    self.target = target
    self.path = path
    self.text = text
  }
}

/// What a rule found, and what to do instead.
struct Finding: Hashable, CustomStringConvertible, Sendable {
  let path: String
  let line: Int
  let rule: String
  let advice: String

  var description: String { "\(path):\(line): \(rule): \(advice)" }
}

/// The Swift files of this repository.
enum RepositoryTree {
  /// The root: where `Package.swift` is, above this file.
  static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().standardizedFileURL

  static let files: [SourceFile] =
    list("Sources", .sources) + list("bench", .sources) + list("Tests", .tests)

  private static func list(_ folder: String, _ part: SourceFile.Part) -> [SourceFile] {
    let base = root.appendingPathComponent(folder)
    // An empty list is noticed by the test that counts the files.
    guard let targets = try? FileManager.default.contentsOfDirectory(atPath: base.path) else { return [] }
    return targets.sorted().flatMap { target in
      swiftFiles(in: base.appendingPathComponent(target)).map { name in
        let path = "\(folder)/\(target)/\(name)"
        let url = root.appendingPathComponent(path)
        return SourceFile(part: part, target: target, path: path, text: SwiftText(contents(of: url)))
      }
    }
  }

  private static func swiftFiles(in folder: URL) -> [String] {
    let names = FileManager.default.enumerator(atPath: folder.path)?.compactMap { $0 as? String } ?? []
    return names.filter { $0.hasSuffix(".swift") }.sorted()
  }

  private static func contents(of url: URL) -> String {
    do {
      return try String(contentsOf: url, encoding: .utf8)
    } catch {
      fatalError("\(url.path): \(error)")
    }
  }
}
