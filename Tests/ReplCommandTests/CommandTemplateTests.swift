import Testing

@testable import ReplCommand

@Suite struct CommandTemplateTests {
  private let known = ["vmx", "name", "directory", "id"]
  private let values = [
    "vmx": "/srv/dr/web/web.vmx", "name": "web 01; rm -rf /", "directory": "/srv/dr/web", "id": "id-1",
  ]

  @Test("placeholders are filled in, argument by argument; nothing is split or interpreted")
  func placeholders() throws {
    let template = try CommandTemplate(
      arguments: ["/bin/x", "--vm={vmx}", "{name}", "{directory}:{id}", "{{vmx}}", "$HOME"],
      placeholders: known)
    #expect(
      template.filled(with: values) == [
        "/bin/x", "--vm=/srv/dr/web/web.vmx", "web 01; rm -rf /", "/srv/dr/web:id-1", "{vmx}", "$HOME",
      ])
  }

  @Test("a display name never becomes an option and never carries control characters")
  func hostileName() throws {
    let template = try CommandTemplate(arguments: ["/bin/x", "{name}", "-n{name}"], placeholders: known)
    let filled = template.filled(with: ["name": "--delete\n\u{1B}[31m"])
    #expect(filled == ["/bin/x", "_-delete??[31m", "-n--delete??[31m"])
  }

  @Test(
    "an unknown placeholder and a lone brace are refused", arguments: ["{tag}", "{}", "a{", "}b", "{vmx"])
  func flaws(argument: String) {
    #expect(throws: CommandTemplate.Flaw.self) {
      try CommandTemplate(arguments: ["/bin/x", argument], placeholders: known)
    }
    #expect(throws: CommandTemplate.Flaw.self) {
      try CommandTemplate.check(argument, placeholders: known)
    }
  }

  @Test("whether an argument holds a placeholder is told")
  func literal() throws {
    #expect(try CommandTemplate.check("{vmx}", placeholders: known))
    #expect(try !CommandTemplate.check("{{vmx}}", placeholders: known))
  }
}
