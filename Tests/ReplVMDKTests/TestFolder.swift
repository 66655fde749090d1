import Glibc
import ReplIO
import Testing

/// A folder of its own for one test, removed with the object.
final class TestFolder {
  let path: String
  let directory: PosixDirectory

  init() throws {
    var template = Array("/tmp/replvmdk-XXXXXX\0".utf8CString)
    guard mkdtemp(&template) != nil else { throw IOError.current("make directory", path: "/tmp") }
    path = String(decoding: template.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    directory = try PosixDirectory(path: path)
  }

  deinit { removeTree(path) }

  func write(_ name: String, _ bytes: [UInt8]) throws {
    let file = open(path + "/" + name, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
    guard file >= 0 else { throw IOError.current("open", path: name) }
    defer { close(file) }
    try #require(bytes.withUnsafeBytes { Glibc.write(file, $0.baseAddress, $0.count) } == bytes.count)
  }

  func write(_ name: String, _ text: String) throws { try write(name, Array(text.utf8)) }

  func read(_ name: String) throws -> [UInt8] { try directory.readFile(name, limitBytes: 1 << 30) }

  func makeDirectory(_ name: String) throws { try #require(mkdir(path + "/" + name, 0o700) == 0) }

  func makeLink(_ name: String, to target: String) throws {
    try #require(symlink(target, path + "/" + name) == 0)
  }

  /// A file with data at one place and holes around it.
  func writeSparse(_ name: String, sizeBytes: Int, data: [UInt8], at offset: Int) throws {
    let file = open(path + "/" + name, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
    guard file >= 0 else { throw IOError.current("open", path: name) }
    defer { close(file) }
    try #require(ftruncate(file, sizeBytes) == 0)
    try #require(data.withUnsafeBytes { pwrite(file, $0.baseAddress, $0.count, offset) } == data.count)
  }
}

private func removeTree(_ path: String) {
  guard let stream = opendir(path) else { return }
  while let entry = readdir(stream) {
    let name = withUnsafePointer(to: &entry.pointee.d_name) {
      $0.withMemoryRebound(to: CChar.self, capacity: 256) { bytes in
        // By its bytes: a name need not be UTF-8.
        unlinkat(dirfd(stream), bytes, 0) == 0 ? "." : String(cString: bytes)
      }
    }
    // A directory does not unlink; a file does not list.
    if name != "." && name != ".." { removeTree(path + "/" + name) }
  }
  closedir(stream)
  rmdir(path)
}

/// Random numbers that a seed repeats (SplitMix64).
struct SeededGenerator: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }

  mutating func bytes(_ count: Int) -> [UInt8] {
    (0..<count).map { _ in UInt8.random(in: 1...255, using: &self) }
  }
}
