import Foundation

/// What `blklogwrites` wrote: the format of the kernel's dm-log-writes
/// (Documentation/admin-guide/device-mapper/ log-writes.rst). A sector with magic, version, number of
/// entries and sector size; then for each entry a sector with its place, length and flags, followed by its
/// data. All numbers are little-endian.
struct WriteLog {
  private static let magic: UInt64 = 0x6A73_6677_736872
  private static let (flush, fua, discard): (UInt64, UInt64, UInt64) = (1, 2, 4)

  struct Entry {
    let offsetBytes: Int
    /// Empty for a flush.
    let data: Data
    /// Everything before it is durable when it is done.
    let isFlush: Bool
    /// It is durable itself when it is done.
    let isForced: Bool
  }

  let entries: [Entry]

  static func entryCount(of path: String) throws -> Int {
    guard let file = FileHandle(forReadingAtPath: path), let head = try file.read(upToCount: 28),
      head.count == 28
    else {
      return 0
    }
    return Int(number(head, 16, 8))
  }

  init(path: String) throws {
    let log = try Data(contentsOf: URL(fileURLWithPath: path), options: .mappedIfSafe)
    guard log.count > 512, Self.number(log, 0, 8) == Self.magic else {
      throw ToolFailure(text: "\(path) is no log of writes")
    }
    let count = Int(Self.number(log, 16, 8))
    let sector = Int(Self.number(log, 24, 4))
    var (entries, place): ([Entry], Int) = ([], sector)
    for _ in 0..<count {
      let first = Int(Self.number(log, place, 8))
      let flags = Self.number(log, place + 16, 8)
      guard flags & Self.discard == 0 else { throw ToolFailure(text: "\(path) holds discards") }
      let length = Int(Self.number(log, place + 8, 8)) * sector
      place += sector
      entries.append(
        Entry(
          offsetBytes: first * sector, data: log.subdata(in: place..<place + length),
          isFlush: flags & Self.flush != 0, isForced: flags & Self.fua != 0))
      place += length
    }
    self.entries = entries
  }

  private static func number(_ data: Data, _ offset: Int, _ length: Int) -> UInt64 {
    data[data.startIndex + offset..<data.startIndex + offset + length].reversed().reduce(0) {
      $0 << 8 | UInt64($1)
    }
  }
}

/// A disk that loses power again and again while a log is replayed onto it.
final class PowerLossImage {
  private let log: WriteLog
  private let path: String
  /// Everything of the log up to here is on the disk for sure.
  private var stableCount = 0
  private let stable: FileHandle

  /// `path` is an image as it was when the log began; it is changed.
  init(_ log: WriteLog, path: String) throws {
    self.log = log
    self.path = path
    guard let file = FileHandle(forUpdatingAtPath: path) else {
      throw ToolFailure(text: "cannot open \(path)")
    }
    stable = file
  }

  deinit {
    // Nothing of the image is needed any more.
    try? stable.close()
  }

  /// Places of the log at which power can go: just before each flush is done.
  var flushes: [Int] { log.entries.indices.filter { log.entries[$0].isFlush } }

  /// Makes `copy` the disk after a power loss just before the entry `index` was done, not smaller than the
  /// last one asked for: of the writes since the last flush every one is there, lost, or torn, as `random`
  /// says.
  /// `ignoring` is how many flushes before that one the disk only claimed to have done.
  func cut(
    before index: Int, ignoring ignored: Int = 0, to copy: String, _ random: inout some RandomNumberGenerator
  ) throws {
    let done = log.entries[..<index].indices.filter { log.entries[$0].isFlush }
    let last = done.dropLast(ignored).last ?? 0
    try bringStable(to: last)
    try Tool.must(["cp", "--sparse=auto", path, copy])
    guard let file = FileHandle(forUpdatingAtPath: copy) else {
      throw ToolFailure(text: "cannot open \(copy)")
    }
    for entry in log.entries[last..<index] { try write(entry, to: file, &random) }
    try file.close()
  }

  private func bringStable(to end: Int) throws {
    guard end > stableCount else { return }
    for entry in log.entries[stableCount..<end] where !entry.data.isEmpty {
      try stable.seek(toOffset: UInt64(entry.offsetBytes))
      try stable.write(contentsOf: entry.data)
    }
    stableCount = end
  }

  private func write(
    _ entry: WriteLog.Entry, to file: FileHandle, _ random: inout some RandomNumberGenerator
  ) throws {
    if entry.data.isEmpty { return }
    let fate = entry.isForced ? 0 : Int.random(in: 0..<5, using: &random)
    switch fate {
    case 0, 1:
      try file.seek(toOffset: UInt64(entry.offsetBytes))
      try file.write(contentsOf: entry.data)
    case 2:
      // Torn: some of its sectors.
      for sector in 0..<entry.data.count / 512 where Bool.random(using: &random) {
        let start = entry.data.startIndex + sector * 512
        try file.seek(toOffset: UInt64(entry.offsetBytes + sector * 512))
        try file.write(contentsOf: entry.data[start..<start + 512])
      }
    default: break
    }
  }
}
