import ReplIO

/// What the loops work on: real bytes in memory, a disk in the page cache, a folder for what they write.
struct Inputs {
  /// The piece in which data is packed, sent and written down.
  static let pieceBytes = 512 << 10
  /// As much as stays in the processor's caches: for loops that are faster than memory.
  static let cachedBytes = 1 << 20

  let data: UnsafeRawBufferPointer
  let disk: PosixFile
  let folder: PosixDirectory
  let folderPath: String

  init(dataPath: String, diskPath: String, folder folderPath: String) throws {
    let file = try Self.open(dataPath)
    let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: Int(file.sizeBytes), alignment: 4096)
    try file.read(into: bytes, at: 0)
    guard bytes.count >= Self.cachedBytes, bytes.count % Self.pieceBytes == 0 else {
      throw BenchError("\(dataPath): \(bytes.count) bytes, not whole pieces of \(Self.pieceBytes)")
    }
    data = UnsafeRawBufferPointer(bytes)
    disk = try Self.open(diskPath)
    folder = try PosixDirectory(path: folderPath)
    self.folderPath = folderPath
  }

  /// The data in pieces, in order.
  var pieces: [UnsafeRawBufferPointer] {
    stride(from: 0, to: data.count, by: Self.pieceBytes).map { offset in
      UnsafeRawBufferPointer(rebasing: data[offset..<(offset + Self.pieceBytes)])
    }
  }

  private static func open(_ path: String) throws -> PosixFile {
    guard let slash = path.lastIndex(of: "/") else { throw BenchError("\(path): an absolute path is wanted") }
    let folder = try PosixDirectory(path: String(path[..<slash]) + "/")
    return try folder.openPosixFile(String(path[path.index(after: slash)...]), .read)
  }
}
