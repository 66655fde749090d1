import Glibc

/// A `newc` cpio archive, as the kernel unpacks it into its first root filesystem
/// (Documentation/driver-api/early-userspace/buffer-format.rst of Linux).
struct CpioArchive {
  private static let alignment = 4
  private static let regularFile = 0o100755
  private static let directory = 0o040755
  private(set) var bytes: [UInt8] = []
  private var nextInode = 1

  mutating func addDirectory(_ name: String) { add(name, mode: Self.directory, content: []) }

  /// Every file is executable: the archive holds programs only.
  mutating func addFile(_ name: String, _ content: [UInt8]) {
    add(name, mode: Self.regularFile, content: content)
  }

  /// The whole archive with its trailer.
  func finished() -> [UInt8] {
    var copy = self
    copy.add("TRAILER!!!", mode: 0, content: [])
    return copy.bytes
  }

  private mutating func add(_ name: String, mode: Int, content: [UInt8]) {
    // inode, mode, uid, gid, links, mtime, size, device of the file (2), device it stands for (2), name
    // length with its NUL, checksum (not used).
    let fields = [nextInode, mode, 0, 0, 1, 0, content.count, 0, 0, 0, 0, name.utf8.count + 1, 0]
    nextInode += 1
    bytes += Array("070701".utf8)
    for field in fields {
      let digits = String(field, radix: 16)
      bytes += Array(String(repeating: "0", count: 8 - digits.count).utf8) + Array(digits.utf8)
    }
    bytes += Array(name.utf8) + [0]
    pad()
    bytes += content
    pad()
  }

  private mutating func pad() {
    while !bytes.count.isMultiple(of: Self.alignment) { bytes.append(0) }
  }
}
