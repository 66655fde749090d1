import Foundation

/// Hooks and commands that write down when they ran: one line a run,
/// `stage|id|name|vmx|directory|tag|arguments`.
struct HookLog {
  struct Line: Equatable {
    let stage, id, name, vmx, directory, tag: String
    let arguments: String
  }

  private let lab: Lab
  private var path: String { "\(lab.folder)/hooks.log" }

  init(_ lab: Lab) { self.lab = lab }

  /// The two hooks as lines of the `freeze` block. `then` is what the script does after its line.
  func settings(preFreeze: String = "", postThaw: String = "", deadline: String = "10s") throws -> [String] {
    try [("pre_freeze", preFreeze), ("post_thaw", postThaw)].map { key, then in
      "\(key): {command: [\(try program(key, then: then)), \"{name}\", \"{tag}\"], deadline: \(deadline)}"
    }
  }

  /// A script that writes its line and goes on with `then`.
  func program(_ name: String, then: String) throws -> String {
    let line =
      "$VMREPL_STAGE|$VMREPL_VM_ID|$VMREPL_VM_NAME|$VMREPL_VMX|$VMREPL_DIRECTORY|$VMREPL_TAG|$*"
    return try lab.writeScript(name, "echo \"\(line)\" >>'\(path)'\n\(then)")
  }

  var lines: [Line] {
    // No log yet: no hook ran.
    let text = (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
    return text.split(separator: "\n").map { line in
      var fields = line.split(separator: "|", omittingEmptySubsequences: false).map(String.init)
      fields += Array(repeating: "", count: max(0, 7 - fields.count))
      return Line(
        stage: fields[0], id: fields[1], name: fields[2], vmx: fields[3], directory: fields[4],
        tag: fields[5], arguments: fields[6])
    }
  }

  var stages: [String] { lines.map(\.stage) }

  /// The tags of freezes whose last pre-freeze hook has no post-thaw hook after it.
  var frozenTags: [String] {
    var open: [String] = []
    for line in lines {
      if line.stage == "pre-freeze" { open.append(line.tag) }
      if line.stage == "post-thaw" { open.removeAll { $0 == line.tag } }
    }
    return open
  }
}
