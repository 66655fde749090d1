import ReplDigest
import ReplIO
import ReplModel

/// Pages that the standby wants again, whatever its newest point says of them: found not to be what
/// replication wrote. Beside the disks in `.repl/wanted`, durable and checksummed; the page VerifyAndRepair
/// has the format and what becomes of an entry.
struct WantedList: Sendable, Hashable, Codable {
  struct Disk: Sendable, Hashable, Codable {
    let disk: DiskID
    /// Covers every page that differs; may cover others.
    var pages: PageRangeList
    /// The map of the newest point is lost and cannot be made from the disk: which pages differ is not known.
    var isMapLost: Bool
    /// Settling has found that these cannot be had any more as the point before had them.
    var lost: Lost?
  }

  /// Noted before the undo file of `pass` is sealed.
  struct Lost: Sendable, Hashable, Codable {
    let pass: PassID
    let pages: PageRangeList
  }

  var disks: [Disk] = []

  var isEmpty: Bool { disks.isEmpty }

  func disk(_ id: DiskID) -> Disk? { disks.first { $0.disk == id } }

  /// What is wanted besides.
  mutating func add(_ disk: DiskID, _ pages: PageRangeList, isMapLost: Bool) {
    if let index = disks.firstIndex(where: { $0.disk == disk }) {
      disks[index].pages = disks[index].pages.union(pages)
      disks[index].isMapLost = disks[index].isMapLost || isMapLost
    } else {
      disks.append(Disk(disk: disk, pages: pages, isMapLost: isMapLost, lost: nil))
    }
  }

  mutating func remove(_ disk: DiskID) { disks.removeAll { $0.disk == disk } }

  mutating func note(_ lost: Lost, of disk: DiskID) {
    for index in disks.indices where disks[index].disk == disk { disks[index].lost = lost }
  }
}

extension WantedList {
  static let formatVersion = 1
  private static let word = "vmrepl-wanted"

  /// Empty when there is none.
  static func load(from directory: any StorageDirectory) throws(StandbyError) -> WantedList {
    guard try storing({ () throws(IOError) in try directory.contains(StandbyLayout.wanted) }) else {
      return WantedList()
    }
    let bytes = try storing { () throws(IOError) in
      try directory.readFile(StandbyLayout.wanted, limitBytes: Limits.wantedBytes)
    }
    return try decode(bytes, path: "\(directory.path)/\(StandbyLayout.wanted)")
  }

  /// Replaces it durably; an empty one is removed.
  func save(in directory: any StorageDirectory) throws(StandbyError) {
    let path = "\(directory.path)/\(StandbyLayout.wanted)"
    if isEmpty {
      return try storing { () throws(IOError) in
        guard try directory.contains(StandbyLayout.wanted) else { return }
        try directory.removeFile(StandbyLayout.wanted)
        try directory.sync()
      }
    }
    let bytes = try encode()
    guard bytes.count <= Limits.wantedBytes else {
      throw .badOffer(detail: "\(path) would have \(bytes.count) bytes")
    }
    try storing { () throws(IOError) in try directory.replaceFile(StandbyLayout.wanted, with: bytes) }
  }

  func encode() throws(StandbyError) -> [UInt8] {
    let json = try RecordJSON.encode(self)
    let line = "\(Self.word) \(Self.formatVersion) \(try Self.checksum(json[...])) \(json.count)\n"
    return Array(line.utf8) + json
  }

  static func decode(_ bytes: [UInt8], path: String) throws(StandbyError) -> WantedList {
    func damaged(_ detail: String) -> StandbyError { .catalogDamaged(path: path, detail: detail) }
    guard let lineEnd = bytes.prefix(128).firstIndex(of: UInt8(ascii: "\n")) else {
      throw damaged("no header line")
    }
    let words = bytes[..<lineEnd].split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false)
      .map { String(decoding: $0, as: UTF8.self) }
    guard words.count >= 2, words[0] == word, let version = Int(words[1]), version > 0 else {
      throw damaged("the header line is not that of a list of wanted pages")
    }
    guard version <= formatVersion else {
      throw .newerFormat(path: path, found: version, supported: formatVersion)
    }
    let json = bytes[(lineEnd + 1)...]
    guard words.count == 4, words[3] == String(json.count) else {
      throw damaged("\(json.count) bytes after the header line")
    }
    guard try checksum(json) == words[2] else { throw damaged("the checksum is wrong") }
    guard let list: WantedList = RecordJSON.decode(Array(json)), list.isSound else {
      throw damaged("the JSON is not a list of wanted pages")
    }
    return list
  }

  private var isSound: Bool {
    let limit = PageGrid.maximumSizeBytes / 4096
    return disks.count <= Limits.disksPerVM && Set(disks.map(\.disk)).count == disks.count
      && disks.allSatisfy {
        $0.pages.isSound(pageCount: limit) && $0.lost?.pages.isSound(pageCount: limit) != false
      }
  }

  private static func checksum(_ json: ArraySlice<UInt8>) throws(StandbyError) -> String {
    let digest = try json.reading { (buffer) throws(StandbyError) in
      try digesting { () throws(DigestError) in try RecordChecksum().compute([buffer]) }
    }
    return HexText.encode(digest.bytes)
  }
}
