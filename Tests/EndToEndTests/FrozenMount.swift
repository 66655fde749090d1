import Foundation

/// A mounted filesystem that takes no writes until it is thawed: whoever writes to it hangs. It is always
/// thawed again, also when this program is killed.
final class FrozenMount {
  private var holder: Running?

  init(_ path: String) throws {
    // Thaws when this program closes the pipe, however that comes.
    let script =
      "trap '' INT TERM HUP; fsfreeze -f \"$0\" && echo frozen; cat > /dev/null; fsfreeze -u \"$0\""
    let running = try Running(["sh", "-c", script, path])
    holder = running
    try eventually("\(path) is frozen") { running.output.contains("frozen") }
  }

  deinit { thaw() }

  func thaw() {
    // The next use of the filesystem shows whether it is.
    _ = try? holder?.finish(seconds: 20)
    holder = nil
  }
}
