import Glibc
import ReplIO
import ReplModel
import Synchronization

/// A directory in memory whose power can be cut at the n-th operation. What was not synced then survives in
/// part: a seeded random choice of directory changes, and of each write's 512-byte sectors.
final class CuttableDisk: StorageDirectory {
  enum Change {
    case write(offset: Int, bytes: [UInt8])
    case resize(Int)
  }

  struct Inode {
    var bytes: [UInt8] = []
    var durableBytes: [UInt8] = []
    var unsynced: [Change] = []
  }

  enum EntryChange {
    case set(String, Int)
    case remove(String)
    case rename(String, to: String, Int)
  }

  struct Contents {
    var inodes: [Int: Inode] = [:]
    var entries: [String: Int] = [:]
    var durableEntries: [String: Int] = [:]
    var unsynced: [EntryChange] = []
    var nextInode = 1
    var operations = 0
    var cutAt = Int.max
    /// Grows with every cut; handles of an earlier life are dead.
    var life = 0
    var isOff = false
  }

  let path = "/disk"
  let contents: Mutex<Contents>

  init(_ contents: Contents = Contents()) { self.contents = Mutex(contents) }

  /// Everything as it is now, for another disk that starts from here.
  func copy() -> Contents { contents.withLock { $0 } }

  func cut(atOperation number: Int) {
    contents.withLock {
      $0.operations = 0
      $0.cutAt = number
    }
  }

  var wasCut: Bool { contents.withLock { $0.isOff } }

  /// Power comes back: the survivors are chosen, and there is no cut to come.
  func restart(_ random: inout SplitMix) {
    contents.withLock { contents in
      for change in contents.unsynced where random.coin() { Self.apply(change, to: &contents.durableEntries) }
      contents.entries = contents.durableEntries
      contents.unsynced = []
      for id in contents.inodes.keys.sorted() {
        for change in contents.inodes[id]!.unsynced {
          Self.applyPart(change, to: &contents.inodes[id]!.durableBytes, &random)
        }
        contents.inodes[id]!.bytes = contents.inodes[id]!.durableBytes
        contents.inodes[id]!.unsynced = []
      }
      contents.isOff = false
      contents.cutAt = Int.max
      contents.life += 1
    }
  }

  private static func apply(_ change: EntryChange, to entries: inout [String: Int]) {
    switch change {
    case .set(let name, let inode): entries[name] = inode
    case .remove(let name): entries[name] = nil
    case .rename(let from, let to, let inode):
      entries[from] = nil
      entries[to] = inode
    }
  }

  private static func applyPart(_ change: Change, to bytes: inout [UInt8], _ random: inout SplitMix) {
    switch change {
    case .resize(let size): if random.coin() { resize(&bytes, size) }
    case .write(let offset, let data):
      var start = 0
      while start < data.count {
        let end = min(data.count, ((offset + start) / 512 + 1) * 512 - offset)
        if random.coin() { put(Array(data[start..<end]), at: offset + start, in: &bytes) }
        start = end
      }
    }
  }

  static func resize(_ bytes: inout [UInt8], _ size: Int) {
    if size < bytes.count { bytes.removeLast(bytes.count - size) }
    if size > bytes.count { bytes += [UInt8](repeating: 0, count: size - bytes.count) }
  }

  static func put(_ data: [UInt8], at offset: Int, in bytes: inout [UInt8]) {
    if bytes.count < offset + data.count { resize(&bytes, offset + data.count) }
    bytes.withUnsafeMutableBytes { $0[offset..<(offset + data.count)].copyBytes(from: data) }
  }

  /// Counts an operation; the one at which the power goes is noted as begun and then fails.
  func operate<Value>(
    _ operation: String, _ body: (inout Contents) throws(IOError) -> Value
  ) throws(IOError) -> Value {
    try contents.withLock { (contents) throws(IOError) in
      try Self.requirePower(contents, operation)
      contents.operations += 1
      let value = try body(&contents)
      if contents.operations >= contents.cutAt {
        contents.isOff = true
        try Self.requirePower(contents, operation)
      }
      return value
    }
  }

  static func requirePower(_ contents: Contents, _ operation: String) throws(IOError) {
    if contents.isOff { throw IOError(.system(EIO), operation, path: "/disk", detail: "power cut") }
  }

  func look<Value>(_ body: (inout Contents) throws(IOError) -> Value) throws(IOError) -> Value {
    try contents.withLock { (contents) throws(IOError) in
      try Self.requirePower(contents, "read")
      return try body(&contents)
    }
  }

  func openFile(_ name: String, _ access: FileAccess) throws(IOError) -> any StorageFile {
    let found = try look { $0.entries[name] }
    switch (access, found) {
    case (.createNew, .some): throw IOError(.system(EEXIST), "open", path: name)
    case (.read, nil), (.readWrite, nil): throw IOError(.system(ENOENT), "open", path: name)
    case (_, .some(let inode)): return CuttableFile(self, inode, name)
    case (_, nil): break
    }
    let inode = try operate("create") { contents in
      let id = contents.nextInode
      contents.nextInode += 1
      contents.inodes[id] = Inode()
      contents.entries[name] = id
      contents.unsynced.append(.set(name, id))
      return id
    }
    return CuttableFile(self, inode, name)
  }

  func contains(_ name: String) throws(IOError) -> Bool { try look { $0.entries[name] != nil } }
  func entryNames() throws(IOError) -> [String] { try look { $0.entries.keys.sorted() } }

  func rename(_ from: String, to: String) throws(IOError) {
    try operate("rename") { (contents) throws(IOError) in
      guard let inode = contents.entries[from] else { throw IOError(.system(ENOENT), "rename", path: from) }
      contents.entries[from] = nil
      contents.entries[to] = inode
      contents.unsynced.append(.rename(from, to: to, inode))
    }
  }

  func removeFile(_ name: String) throws(IOError) {
    try operate("remove") { (contents) throws(IOError) in
      guard contents.entries.removeValue(forKey: name) != nil else {
        throw IOError(.system(ENOENT), "remove", path: name)
      }
      contents.unsynced.append(.remove(name))
    }
  }

  func sync() throws(IOError) {
    try look { (contents) throws(IOError) in
      contents.operations += 1
      if contents.operations >= contents.cutAt {
        contents.isOff = true
        try Self.requirePower(contents, "sync")
      }
      contents.durableEntries = contents.entries
      contents.unsynced = []
    }
  }

  func openDirectory(_ name: String) throws(IOError) -> any StorageDirectory {
    throw IOError(.system(ENOENT), "open", path: name)
  }
  func createDirectory(_ name: String) throws(IOError) -> any StorageDirectory {
    throw IOError(.system(EPERM), "make directory", path: name)
  }
  func freeBytes() throws(IOError) -> Int64 { 1 << 40 }
  func tryLock(_ name: String) throws(IOError) -> FileLock? { FileLock {} }
}

final class CuttableFile: StorageFile {
  private let disk: CuttableDisk
  private let inode: Int
  private let life: Int
  let path: String

  init(_ disk: CuttableDisk, _ inode: Int, _ name: String) {
    self.disk = disk
    self.inode = inode
    life = disk.contents.withLock { $0.life }
    path = "/disk/\(name)"
  }

  private func requireAlive(_ contents: CuttableDisk.Contents) throws(IOError) {
    guard contents.life == life else { throw IOError(.system(EBADF), "use", path: path, detail: "power cut") }
  }

  var sizeBytes: Int64 { disk.contents.withLock { Int64($0.inodes[inode]!.bytes.count) } }
  func currentSizeBytes() throws(IOError) -> Int64 { try disk.look { Int64($0.inodes[inode]!.bytes.count) } }

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int64) throws(IOError) {
    try disk.look { (contents) throws(IOError) in
      try requireAlive(contents)
      let end = Int(offset) + buffer.count
      guard end <= contents.inodes[inode]!.bytes.count else {
        throw IOError(.unexpectedEnd, "read", path: path, offsetBytes: offset)
      }
      contents.inodes[inode]!.bytes.withUnsafeBytes {
        buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[Int(offset)..<end]))
      }
    }
  }

  func write(_ buffer: UnsafeRawBufferPointer, at offset: Int64) throws(IOError) {
    try change("write", .write(offset: Int(offset), bytes: Array(buffer)))
  }

  func writeZeros(_ range: ByteRange) throws(IOError) {
    try change(
      "zero", .write(offset: Int(range.offset), bytes: [UInt8](repeating: 0, count: Int(range.length))))
  }

  func truncate(to sizeBytes: Int64) throws(IOError) { try change("truncate", .resize(Int(sizeBytes))) }

  private func change(_ operation: String, _ change: CuttableDisk.Change) throws(IOError) {
    try disk.operate(operation) { (contents) throws(IOError) in
      try requireAlive(contents)
      switch change {
      case .write(let offset, let bytes):
        CuttableDisk.put(bytes, at: offset, in: &contents.inodes[inode]!.bytes)
      case .resize(let size): CuttableDisk.resize(&contents.inodes[inode]!.bytes, size)
      }
      contents.inodes[inode]!.unsynced.append(change)
    }
  }

  func sync() throws(IOError) {
    try disk.look { (contents) throws(IOError) in
      try requireAlive(contents)
      contents.operations += 1
      if contents.operations >= contents.cutAt {
        contents.isOff = true
        try CuttableDisk.requirePower(contents, "sync")
      }
      contents.inodes[inode]!.durableBytes = contents.inodes[inode]!.bytes
      contents.inodes[inode]!.unsynced = []
    }
  }

  func forgetCached(_ range: ByteRange) throws(IOError) {}

  /// Blocks of 4096 bytes that hold anything.
  func allocatedRange(atOrAfter offset: Int64) throws(IOError) -> ByteRange? {
    try disk.look { contents in
      let bytes = contents.inodes[inode]!.bytes
      func holds(_ block: Int) -> Bool {
        bytes.withUnsafeBytes { all in
          all[(block * 4096)..<min((block + 1) * 4096, all.count)].contains { $0 != 0 }
        }
      }
      var block = Int(offset) / 4096
      while block * 4096 < bytes.count, !holds(block) { block += 1 }
      guard block * 4096 < bytes.count else { return nil }
      let start = max(block * 4096, Int(offset))
      while block * 4096 < bytes.count, holds(block) { block += 1 }
      return ByteRange(offset: Int64(start), length: Int64(min(block * 4096, bytes.count) - start))
    }
  }
}

/// SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators").
struct SplitMix: RandomNumberGenerator {
  var state: UInt64
  init(seed: UInt64) { state = seed }
  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var value = state
    value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
    value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
    return value ^ (value >> 31)
  }
  mutating func coin() -> Bool { next() & 1 == 1 }
}
