import Testing

/// The scanner under the rules, and the rules for lengths and documentation.
@Suite("Scanner, lengths, documentation")
struct ScannerSampleTests {
  @Test("comments and the contents of strings are not code; interpolations are")
  func layersAreApart() {
    let text = SwiftText(
      ##"""
      let a = "x { \" y" + f("\(g("}") + 1) z")  // note {
      /* block /* inner { */ still */ let b = 1
      let c = #"raw \" { "# + #"\#(h)"#
      let d = """
        { not code "quoted" \(code)
        """
      """##)
    // Strings keep their quotes and lose what is between them.
    #expect(text.code[0].filter { $0 != " " } == #"leta=""+f("(g("")+1)")"#)
    #expect(text.comments[0].hasSuffix("// note {"))
    #expect(text.code[1].filter { $0 != " " } == "letb=1")
    #expect(text.code[2].filter { $0 != " " } == ##"letc=#""#+#"(h)"#"##)
    #expect(text.code[4].filter { $0 != " " } == "(code)")
    #expect(text.lines.count == 6 && text.code.count == 6 && text.comments.count == 6)
  }

  @Test("a regular expression between slashes is not code")
  func regexIsMasked() {
    let text = SwiftText("let r = /a{2}\"/\nlet q = a / b / c")
    #expect(!text.code[0].contains("{") && !text.code[0].contains("\""))
    #expect(text.code[1] == "let q = a / b / c")
  }

  private static let functions = """
    protocol P { func required(x: Int) -> Int }
    struct S {
      var stored = { 1 }()
      var computed: Int {
        1
      }
      init(x: Int = { 2 }()) {
        self.init()
      }
      func generic<T>(_ x: [T]) -> T where T == Int {
        if true {
          // } a brace in a comment
        }
        return "}"
      }
    }
    """

  @Test("functions are found with their lengths")
  func functionsAreFound() {
    let found = FunctionScanner.functions(in: SwiftText(Self.functions))
    #expect(found.map(\.name) == ["computed", "init", "generic"])
    #expect(found.map(\.line) == [4, 7, 10])
    #expect(found.map(\.lineCount) == [3, 3, 6])
  }

  @Test("a function of 71 lines is found, one of 70 is not")
  func longFunctionIsFound() {
    func sample(_ lines: Int) -> [Finding] {
      let body = Array(repeating: "  work()", count: lines - 2).joined(separator: "\n")
      return LengthRule.check(SourceFile(target: "ReplPass", text: "func run() {\n\(body)\n}\n"))
    }
    #expect(sample(70).isEmpty)
    let table =
      "func golden() {\n  let text = \"\"\"\n" + String(repeating: "    data\n", count: 90)
      + "    \"\"\"\n}\n"
    #expect(LengthRule.check(SourceFile(target: "ReplPass", text: table)).isEmpty)
    #expect(sample(71).map(\.description).first?.contains("run has 71 lines, at most 70") == true)
  }

  @Test("a file of 501 lines is found, one of 301 is a warning, a test may have 800")
  func longFileIsFound() {
    func file(_ lines: Int, _ part: SourceFile.Part) -> SourceFile {
      SourceFile(part: part, target: "ReplPass", text: String(repeating: "let x = 1\n", count: lines))
    }
    #expect(LengthRule.check(file(500, .sources)).isEmpty)
    #expect(LengthRule.check(file(501, .sources)).map(\.rule) == ["file-length"])
    #expect(LengthRule.warning(file(300, .sources)) == nil)
    #expect(LengthRule.warning(file(301, .sources))?.rule == "file-length")
    #expect(LengthRule.check(file(800, .tests)).isEmpty)
    #expect(LengthRule.check(file(801, .tests)).map(\.rule) == ["file-length"])
  }

  @Test("a line of 111 columns is found; columns are characters, not bytes")
  func longLineIsFound() {
    func check(_ line: String) -> [Finding] { LengthRule.check(SourceFile(target: "ReplPass", text: line)) }
    #expect(check("// " + String(repeating: "ä", count: 107)).isEmpty)
    #expect(check("// " + String(repeating: "x", count: 108)).map(\.rule) == ["line-length"])
  }

  private func undocumented(_ text: String) -> [String] {
    let file = SourceFile(target: "ReplPass", text: text)
    return DocumentationRule(files: [file]).check(file).map { "\($0.line) \($0.advice.prefix { $0 != " " })" }
  }

  @Test(
    "a public declaration without a doc comment is found",
    arguments: [
      ("public struct Journal {", "1 Journal"),
      ("public func append(_ record: Record) {", "1 append"),
      ("  public static func make() -> Self {", "1 make"),
      ("@inlinable public mutating func next2() {", "1 next2"),
      ("/// Doc.\n\npublic enum State {", "3 State"),
      ("// Not a doc comment.\npublic final class Box {", "2 Box"),
      ("  public class func make() {", "1 make"),
      ("public typealias Root = Hash", "1 Root"),
      ("  public subscript(key: String) -> Int {", "1 subscript"),
      ("  public var isEmpty: Bool {\n    true\n  }", "1 isEmpty"),
      ("public protocol Sink {", "1 Sink"),
      ("open class Base {", "1 Base"),
    ])
  func undocumentedIsFound(text: String, expected: String) {
    #expect(undocumented(text) == [expected])
  }

  @Test(
    "what is documented, not public, or says it all by itself passes",
    arguments: [
      "/// A journal.\npublic struct Journal {",
      "/// A journal.\n@frozen\npublic struct Journal {",
      "/// A box.\n// SAFETY: one owner.\npublic final class Box {",
      "struct Journal {",
      "public extension Journal {",
      "public import Glibc",
      "  public let sizeBytes: Int64",
      "  public private(set) var count = 0",
      "  public var isEmpty: Bool { count == 0 }",
      "  public init?(_ text: String) {",
      "  public static func < (left: Self, right: Self) -> Bool {",
      "  public var description: String {\n    \"\"\n  }",
      "let text = \"public func f()\"",
    ])
  func documentedPasses(text: String) {
    #expect(undocumented(text) == [])
  }

  @Test("a method that a documented requirement of our protocol describes needs no second doc comment")
  func witnessInheritsDocumentation() {
    let text = """
      /// A sink.
      public protocol Sink {
        /// Writes.
        func write(_ bytes: [UInt8])
        func flush()
      }
      extension File: Sink {
        public func write(_ bytes: [UInt8]) {}
        public func flush() {}
      }
      """
    #expect(undocumented(text) == ["9 flush"])
  }
}
