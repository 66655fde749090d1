import Glibc
import ReplIO
import Testing

/// The judge: `qemu-img` of the machine. Missing, the tests that need it are skipped at home and fail in CI.
enum QemuImg {
  static let path: String? = ["/usr/bin/qemu-img", "/usr/local/bin/qemu-img"].first { access($0, X_OK) == 0 }
  static let mayRun = path != nil || getenv("CI") != nil
  static let reason: Comment = "qemu-img is not installed (apt-get install qemu-utils)"

  struct Output {
    let status: Int32
    let text: String
  }

  /// Runs it in `folder`, with a deadline.
  static func run(_ arguments: [String], in folder: TestFolder) throws -> Output {
    try run(try #require(path, reason), arguments, in: folder)
  }

  /// Any program.
  static func run(_ program: String, _ arguments: [String], in folder: TestFolder) throws -> Output {
    let outputPath = folder.path + "/qemu-img.out"
    defer { unlink(outputPath) }
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, 1, outputPath, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
    posix_spawn_file_actions_adddup2(&actions, 1, 2)
    let command = ["/usr/bin/env", "-C", folder.path, "timeout", "60", program] + arguments
    var words: [UnsafeMutablePointer<CChar>?] = command.map { strdup($0) }
    defer { for word in words { free(word) } }
    words.append(nil)
    var child: pid_t = 0
    try #require(posix_spawn(&child, "/usr/bin/env", &actions, nil, words, environ) == 0)
    var status: Int32 = 0
    while waitpid(child, &status, 0) < 0 && errno == EINTR {}
    let text = String(decoding: try folder.read("qemu-img.out"), as: UTF8.self)
    return Output(status: status & 0x7F == 0 ? status >> 8 & 0xFF : -1, text: text)
  }
}
