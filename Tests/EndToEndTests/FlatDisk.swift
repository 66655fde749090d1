import Foundation
import Glibc
import ReplCompression

/// A flat disk of the source as bytes in memory, for changing it and for asking what a pass had to send.
struct FlatDisk {
  static let pageBytes = 4096
  let path: String

  func contents() throws -> Data { try Data(contentsOf: URL(fileURLWithPath: path), options: .mappedIfSafe) }

  /// A copy that later changes do not touch.
  func copy() throws -> Data { Data(try [UInt8](contents())) }

  /// Overwrites whole pages, each with what `content` gives for it.
  func write(pages: [Int], _ content: (Int) -> [UInt8]) throws {
    let descriptor = open(path, O_WRONLY)
    guard descriptor >= 0 else { throw ToolFailure(text: "cannot open \(path)") }
    defer { close(descriptor) }
    for page in pages {
      let bytes = content(page)
      guard pwrite(descriptor, bytes, bytes.count, page * Self.pageBytes) == bytes.count else {
        throw ToolFailure(text: "cannot write \(path)")
      }
    }
  }

  /// What `zstd -1` makes of every maximal run of changed pages of at most 1 MiB, or the run itself where
  /// that is smaller, summed up.
  static func compressedChange(from old: Data, to new: Data) throws -> (bytes: Int, pages: Int) {
    let compressor = try Compressor(codec: .zstd, level: 1)
    var packed = [UInt8](repeating: 0, count: 1 << 20)
    var (total, pages) = (0, 0)
    try old.withUnsafeBytes { old in
      try new.withUnsafeBytes { new in
        var page = 0
        let count = new.count / pageBytes
        func differs(_ page: Int) -> Bool {
          memcmp(old.baseAddress! + page * pageBytes, new.baseAddress! + page * pageBytes, pageBytes) != 0
        }
        while page < count {
          guard differs(page) else {
            page += 1
            continue
          }
          var end = page + 1
          while end < count, end - page < 256, differs(end) { end += 1 }
          let run = UnsafeRawBufferPointer(rebasing: new[(page * pageBytes)..<(end * pageBytes)])
          let isZero = run.allSatisfy { $0 == 0 }
          let size = try packed.withUnsafeMutableBytes { try compressor.compress(run, into: $0) }
          total += isZero ? 0 : min(size ?? run.count, run.count)
          pages += end - page
          page = end
        }
      }
    }
    return (total, pages)
  }
}

/// Real files in a real filesystem.
enum RealFilesystem {
  /// An ext4 image of `sizeMiB` with a part of this machine's /usr in it.
  static func make(at path: String, sizeMiB: Int, from folders: [String]) throws {
    let content = path + ".files"
    try FileManager.default.createDirectory(atPath: content, withIntermediateDirectories: true)
    for folder in folders where FileManager.default.fileExists(atPath: folder) {
      try Tool.must(["cp", "-r", folder, content + "/"])
    }
    try Tool.must(["truncate", "-s", "\(sizeMiB)M", path])
    try Tool.must(["mkfs.ext4", "-q", "-F", "-d", content, path])
    try FileManager.default.removeItem(atPath: content)
  }
}
