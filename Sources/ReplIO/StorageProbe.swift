import CLinux
import Glibc
import ReplModel
import Synchronization

/// Finds out what a storage really does: everything is done once, in a hidden folder that is removed again,
/// and read back.
///
/// It writes some MiB and takes a second or two; nothing in it depends on the storage's size. What a killed
/// probe left behind is removed by the next one.
public struct StorageProbe {
  /// Larger files than VMware's largest disk (62 TiB) are of no interest.
  public static let sizeOfInterest = PageGrid.maximumSizeBytes
  static let folderPrefix = ".repl-probe-"
  private static let syncs = 5
  private static let syncSeconds = 2.0
  private static let dataBytes = 1 << 20

  /// Folders of probes that run in this process now.
  private static let running = Mutex<Set<String>>([])

  let folder: PosixDirectory
  private let pattern: AlignedBuffer

  /// Probes the storage that holds `directory`.
  public static func run(in directory: PosixDirectory) throws(IOError) -> StorageTraits {
    try removeLeftovers(in: directory)
    // One of its own for each: threads of one process may probe one storage at once.
    let name = "\(folderPrefix)\(getpid())-\(UInt32.random(in: 0 ... .max))"
    running.withLock { _ = $0.insert(name) }
    defer { running.withLock { _ = $0.remove(name) } }
    guard let folder = try directory.createDirectory(name) as? PosixDirectory else {
      throw IOError(.wrongFileType, "probe", path: directory.path)
    }
    let result: Result<StorageTraits, IOError> = Result { () throws(IOError) in
      try StorageProbe(folder: folder).traits(of: directory)
    }
    // The answer counts more than a leftover, which the next probe removes.
    try? remove(name, in: directory)
    return try result.get()
  }

  /// Of probes whose process is gone, also of one that had our number.
  private static func removeLeftovers(in directory: PosixDirectory) throws(IOError) {
    for name in try directory.entryNames() where name.hasPrefix(folderPrefix) {
      guard let process = pid_t(name.dropFirst(folderPrefix.count).prefix { $0 != "-" }) else { continue }
      if process == getpid() {
        if running.withLock({ $0.contains(name) }) { continue }
      } else if kill(process, 0) == 0 || errno == EPERM {
        continue
      }
      try remove(name, in: directory)
    }
  }

  /// Another probe may be removing the same folder at this moment.
  private static func remove(_ name: String, in directory: PosixDirectory) throws(IOError) {
    try unlessGone(name, directory) { () throws(IOError) in
      let folder = try directory.openDirectory(name)
      for file in try folder.entryNames() {
        try unlessGone(file, folder) { () throws(IOError) in try folder.removeFile(file) }
      }
      try directory.removeDirectory(name)
    }
  }

  private static func unlessGone(
    _ name: String, _ directory: any StorageDirectory, _ body: () throws(IOError) -> Void
  ) throws(IOError) {
    do throws(IOError) { try body() } catch {
      if try directory.contains(name) { throw error }
    }
  }

  private init(folder: PosixDirectory) {
    self.folder = folder
    pattern = AlignedBuffer(byteCount: Self.dataBytes)
    // No zero in it, and nothing that compresses away.
    var state: UInt64 = 0x9E37_79B9_7F4A_7C15
    for index in pattern.bytes.indices {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      pattern.bytes[index] = UInt8(truncatingIfNeeded: state >> 56) | 1
    }
  }

  private func traits(of directory: PosixDirectory) throws(IOError) -> StorageTraits {
    let isSparse = try keepsSparse()
    let (holes, reads) = try punch()
    let replaces = try replacesByRename()
    let syncs = try syncTimes()
    return StorageTraits(
      filesystem: try directory.filesystemName(), isSparse: isSparse, holes: holes,
      tellsHoles: try tellsHoles(), reservesSpace: try reservesSpace(), sharesBlocks: try sharesBlocks(),
      readsDirectly: reads, replacesByRename: replaces, syncsDirectories: try syncsDirectories(),
      locksFiles: try locksFiles(), largestFileBytes: try largestFile(isSparse: isSparse),
      freeBytes: try directory.freeBytes(), syncMedianSeconds: syncs[syncs.count / 2],
      syncSlowestSeconds: syncs[syncs.count - 1])
  }

  // MARK: - Space

  private func keepsSparse() throws(IOError) -> Bool {
    let file = try folder.openPosixFile("sparse", .createNew)
    let size = Int64(4 << 20)
    try file.truncate(to: size)
    try file.write(part(0, 4096), at: size - 4096)
    try file.sync()
    return try file.status().allocatedBytes < size / 2
  }

  private func tellsHoles() throws(IOError) -> Bool {
    let file = try folder.openPosixFile("sparse", .read)
    return try file.allocatedRange(atOrAfter: 0).map { $0.offset > 0 } ?? false
  }

  /// Also whether the file can be read past the cache.
  private func punch() throws(IOError) -> (StorageTraits.Holes, readsDirectly: Bool) {
    let file = try folder.openPosixFile("data", .createNew)
    try file.write(pattern.readable, at: 0)
    try file.sync()
    let before = try file.status().allocatedBytes
    let direct = AlignedBuffer(byteCount: 4096)
    let reads =
      repl_read_directly(folder.descriptor, "data", direct.bytes.baseAddress, 4096, 0) == 0
      && Self.isSame(direct.readable, part(0, 4096))
    let hole = ByteRange(offset: 128 << 10, length: 512 << 10)
    guard repl_punch_hole(file.descriptor, hole.offset, hole.length) == 0 else {
      guard errno != EIO else { throw .current("punch hole", path: file.path) }
      return (.refused, reads)
    }
    try file.sync()
    try file.forgetCached(ByteRange(offset: 0, length: Int64(Self.dataBytes)))
    let found = AlignedBuffer(byteCount: Self.dataBytes)
    try file.read(into: found.bytes, at: 0)
    let (start, end) = (Int(hole.offset), Int(hole.end))
    let isRight =
      try file.currentSizeBytes() == Int64(Self.dataBytes)
      && Self.isSame(found.readable[0..<start], part(0, start))
      && found.readable[start..<end].allSatisfy { $0 == 0 }
      && Self.isSame(found.readable[end...], part(end, Self.dataBytes - end))
    guard isRight else { return (.wrong, reads) }
    return (try file.status().allocatedBytes < before ? .freed : .zeroed, reads)
  }

  private func reservesSpace() throws(IOError) -> Bool {
    let file = try folder.openPosixFile("reserved", .createNew)
    guard repl_reserve(file.descriptor, 0, Int64(Self.dataBytes)) == 0 else {
      if errno == ENOSPC || errno == EIO { throw .current("reserve space", path: file.path) }
      return false
    }
    return try file.status().allocatedBytes >= Int64(Self.dataBytes)
  }

  private func sharesBlocks() throws(IOError) -> Bool {
    let source = try folder.openPosixFile("data", .read)
    let twin = try folder.openPosixFile("twin", .createNew)
    // Whatever keeps it from cloning, it is not used then.
    guard (try? twin.clone(from: source)) != nil else { return false }
    let found = AlignedBuffer(byteCount: 4096)
    guard try twin.currentSizeBytes() == source.currentSizeBytes() else { return false }
    try twin.read(into: found.bytes, at: 0)
    return Self.isSame(found.readable, part(0, 4096))
  }

  /// By trying where that takes no space; else by what the system allows: a hole behind its limit is refused
  /// with EFBIG before anybody asks whether holes can be punched.
  private func largestFile(isSparse: Bool) throws(IOError) -> Int64 {
    let file = try folder.openPosixFile("large", .createNew)
    func fits(_ size: Int64) throws(IOError) -> Bool {
      if isSparse {
        do throws(IOError) { try file.truncate(to: size) } catch {
          guard [EFBIG, EINVAL, ENOSPC, EDQUOT, EOVERFLOW].contains(error.systemCode) else { throw error }
          return false
        }
        return try file.currentSizeBytes() == size
      }
      return repl_punch_hole(file.descriptor, size - 4096, 4096) == 0 || errno != EFBIG
    }
    let step = Int64(4096)
    if try fits(Self.sizeOfInterest) { return Self.sizeOfInterest }
    // Ends at once: some twenty to thirty sizes.
    var (held, refused) = (Int64(0), Self.sizeOfInterest / step)
    while refused - held > 1 {
      let middle = held + (refused - held) / 2
      if try fits(middle * step) { held = middle } else { refused = middle }
    }
    return held * step
  }

  // MARK: - Names and durability

  private func replacesByRename() throws(IOError) -> Bool {
    for (name, offset) in [("old", 0), ("new", 4096)] {
      let file = try folder.openPosixFile(name, .createNew)
      try file.write(part(offset, 4096), at: 0)
      try file.sync()
    }
    do throws(IOError) { try folder.rename("new", to: "old") } catch {
      if error.systemCode == EIO { throw error }
      return false
    }
    let found = AlignedBuffer(byteCount: 4096)
    try folder.openPosixFile("old", .read).read(into: found.bytes, at: 0)
    return try !folder.contains("new") && Self.isSame(found.readable, part(4096, 4096))
  }

  private func syncsDirectories() throws(IOError) -> Bool {
    do throws(IOError) { try folder.sync() } catch {
      // Refused, not failed.
      guard [EINVAL, ENOTSUP, ENOSYS, EBADF, EISDIR].contains(error.systemCode) else { throw error }
      return false
    }
    return true
  }

  private func locksFiles() throws(IOError) -> Bool {
    let first: FileLock?
    do throws(IOError) { first = try folder.tryLock("lock") } catch {
      guard [ENOLCK, ENOTSUP, ENOSYS, EINVAL, EBADF].contains(error.systemCode) else { throw error }
      return false
    }
    defer { withExtendedLifetime(first) {} }
    guard first != nil else { return false }
    return try folder.tryLock("lock") == nil
  }

  /// Sorted; at least one.
  private func syncTimes() throws(IOError) -> [Double] {
    let file = try folder.openPosixFile("synced", .createNew)
    let time = SystemTime()
    var seconds: [Double] = []
    for number in 0..<Self.syncs where seconds.reduce(0, +) < Self.syncSeconds {
      let began = time.monotonicNanoseconds()
      try file.write(part(number * 4096, 4096), at: 0)
      try file.sync()
      seconds.append(Double(time.monotonicNanoseconds() - began) / 1e9)
    }
    return seconds.sorted()
  }

  // MARK: - Bytes

  private func part(_ offset: Int, _ count: Int) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(rebasing: pattern.readable[offset..<(offset + count)])
  }

  private static func isSame(_ left: some Collection<UInt8>, _ right: some Collection<UInt8>) -> Bool {
    left.elementsEqual(right)
  }
}
