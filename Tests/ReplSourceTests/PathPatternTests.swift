import ReplSource
import Testing

/// Patterns for the places of VMX files.
@Suite("Path patterns")
struct PathPatternTests {
  @Test(
    "a pattern matches a path, or a folder above it",
    arguments: [
      ("*", "web01/web01.vmx", true), ("*", "x.vmx", true), ("web*", "web01/web01.vmx", true),
      ("web*", "db/web.vmx", false), ("web01", "web01/web01.vmx", true), ("web01", "web012/a.vmx", false),
      ("web01/", "web01/web01.vmx", true), ("templates/*", "templates/a/b.vmx", true),
      ("*/old-[0-9]*", "a/old-7/x.vmx", true), ("*/old-[0-9]*", "a/old-x/x.vmx", false),
      ("db?", "db1/x.vmx", true), ("db?", "db12/x.vmx", false), ("db?", "db/x.vmx", false),
      ("[!a]*", "abc.vmx", false), ("[!a]*", "bbc.vmx", true), ("[^a]*", "abc.vmx", false),
      ("[]x]", "]", true), ("[a-]", "-", true), ("[z-a]", "m", false), ("\\*", "*", true),
      ("\\*", "x", false), ("WEB*", "web01/x.vmx", false), ("*.vmx", "web01/web01.vmx", true),
      ("ä?", "äö/x.vmx", true), ("a**b", "a/x/b", true), ("*a*b*c", "xaxbxcx", false),
    ] as [(String, String, Bool)])
  func matching(pattern: String, path: String, expected: Bool) throws {
    #expect(try PathPattern(pattern).matches(path) == expected)
  }

  @Test(
    "what is no pattern says why",
    arguments: [
      ("", .empty), ("///", .absolute), ("/srv/*", .absolute), ("a[b", .openBracket), ("[]", .openBracket),
      ("a\\", .loneBackslash),
    ] as [(String, PathPattern.Flaw)])
  func flaws(text: String, flaw: PathPattern.Flaw) {
    #expect(throws: flaw) { try PathPattern(text) }
  }

  @Test("a pattern of a thousand characters is the longest, and many stars cost no time")
  func bounds() throws {
    let long = String(repeating: "a", count: 1025)
    #expect(throws: PathPattern.Flaw.tooLong) { try PathPattern(long) }
    let stars = try PathPattern(String(repeating: "a*", count: 500) + "b")
    let clock = ContinuousClock()
    let time = clock.measure { #expect(!stars.matches(String(repeating: "a", count: 4000))) }
    #expect(time < .seconds(20), "an exponential search would not end at all: \(time)")
  }
}
