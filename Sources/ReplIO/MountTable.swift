import Glibc

/// Where filesystems are mounted, as the kernel lists it: no storage is asked.
public struct MountTable: Sendable {
  /// The longest first.
  let points: [String]

  /// As it is now; knows only `/` where it cannot be read.
  public static func current() -> MountTable {
    guard let file = fopen("/proc/self/mounts", "r") else { return MountTable(points: ["/"]) }
    defer { fclose(file) }
    var points = Set(["/"])
    var line: UnsafeMutablePointer<CChar>?
    var size = 0
    defer { free(line) }
    while getline(&line, &size, file) > 0, let line {
      let fields = String(cString: line).split(separator: " ")
      if fields.count > 1 { points.insert(plain(fields[1])) }
    }
    return MountTable(points: Array(points))
  }

  /// Blanks and backslashes are written as three octal digits.
  static func plain(_ field: Substring) -> String {
    var bytes: [UInt8] = []
    var rest = Array(field.utf8)[...]
    while let byte = rest.popFirst() {
      let digits = rest.prefix(3)
      if byte == UInt8(ascii: "\\"), digits.count == 3,
        let value = UInt8(String(decoding: digits, as: UTF8.self), radix: 8)
      {
        bytes.append(value)
        rest.removeFirst(3)
      } else {
        bytes.append(byte)
      }
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  init(points: [String]) {
    self.points = points.sorted { ($1.utf8.count, $0) < ($0.utf8.count, $1) }
  }

  /// The mount that an absolute path lies in, by its name: links are not followed.
  public func point(of path: String) -> String {
    points.first { $0 == "/" || path == $0 || path.hasPrefix($0 + "/") } ?? "/"
  }
}
