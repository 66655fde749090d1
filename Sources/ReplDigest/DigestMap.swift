import ReplIO
import ReplModel
import Synchronization

/// The digest map of one disk at one recovery point, in a file. Streamed, never loaded; sparse where the
/// disk is zero.
///
/// The layout, the order of writes and what a crash leaves are on the page DigestMapFormat. Reads, and
/// writes to different leaves, are safe from several threads at once.
public final class DigestMap: DigestView {
  /// What the map can be used for.
  public enum State: Equatable, Sendable {
    /// It is the map of that point, whole and durable.
    case at(PointReference, pass: PassID)
    /// A merge towards that point was begun: right only under its delta, whose merge must be done again.
    case merging(PointReference, pass: PassID)
    /// Being built: not to be trusted after a crash, except what the owner knows to be synced.
    case working
  }

  struct Held {
    var header: DigestMapHeader
    var slot: Int
    /// A write or sync failed: what the disk holds is not known.
    var isSuspect = false
  }

  /// What it is a map of.
  public let format: DigestMapFormat
  let content: DigestFile
  let held: Mutex<Held>

  /// The file, for messages.
  public var path: String { content.file.path }

  private init(format: DigestMapFormat, content: DigestFile, held: Held) {
    self.format = format
    self.content = content
    self.held = Mutex(held)
  }

  /// A new map, all zero, in state working. Durably takes the place of whatever had that name.
  public static func create(
    _ name: String, in directory: any StorageDirectory, format: DigestMapFormat
  ) throws(DigestError) -> DigestMap {
    let header = DigestMapHeader.working(format, sequence: 1)
    let empty = [UInt8](repeating: 0, count: Int(DigestFileLayout.leavesOffset) - DigestFileLayout.slotBytes)
    let layout = DigestFileLayout(grid: format.grid)
    let file = try storage { () throws(IOError) in
      try directory.replaceFile(name, with: header.encode() + empty)
      let file = try directory.openFile(name, .readWrite)
      try file.truncate(to: layout.mapBytes)
      return file
    }
    return DigestMap(
      format: format, content: DigestFile(file: file, layout: layout), held: Held(header: header, slot: 0))
  }

  /// An existing map. Throws `.missing`, `.damaged` (no good header, too short) or `.foreign` (another
  /// disk, size, page size, key or version); each means: build it anew.
  public static func open(
    _ name: String, in directory: any StorageDirectory, format: DigestMapFormat
  ) throws(DigestError) -> DigestMap {
    let file = try storage { () throws(IOError) in try directory.openFile(name, .readWrite) }
    let layout = DigestFileLayout(grid: format.grid)
    let size = try storage { () throws(IOError) in try file.currentSizeBytes() }
    let held = try newestHeader(file, size: size)
    if let difference = held.header.format.difference(from: format) {
      throw DigestError(.foreign, file.path, "the map is not this disk's: \(difference); build it anew")
    }
    if size != layout.mapBytes {
      // The length becomes durable with the first sync, so only a map that was never finished may be short.
      guard held.header.state == .working else {
        throw DigestError(
          .damaged, file.path, "the map has \(size) bytes instead of \(layout.mapBytes); build it anew")
      }
      try storage { () throws(IOError) in try file.truncate(to: layout.mapBytes) }
    }
    return DigestMap(format: format, content: DigestFile(file: file, layout: layout), held: held)
  }

  /// As the newest header says.
  public var state: State {
    held.withLock { held in
      switch held.header.state {
      case .working: .working
      case .at: .at(held.header.reference, pass: held.header.pass)
      case .merging: .merging(held.header.reference, pass: held.header.pass)
      }
    }
  }

  /// From the file, in any state of the map. Not checked against its node: `verify` does that.
  public func readLeaf(
    _ leaf: Int64, into digests: UnsafeMutableBufferPointer<PageDigest>
  ) throws(DigestError) {
    try checkLeaf(leaf, of: format)
    precondition(digests.count == PageGrid.pagesPerLeaf, "a leaf has 256 digests")
    try content.readLeaves(from: leaf, into: PageDigestLayout.bytes(digests))
  }

  /// Holes of the file are left out.
  public func leafWithContent(atOrAfter leaf: Int64) throws(DigestError) -> Int64? {
    try content.leafWithContent(atOrAfter: leaf)
  }

  /// Throws `.wrongState` unless the map is at a point: before that the nodes are not computed.
  public func nodes(level: Int, first: Int64, count: Int) throws(DigestError) -> [Hash256] {
    try requirePoint("its nodes")
    try checkNodes(level: level, first: first, count: count, of: format)
    let buffer = UnsafeMutableRawBufferPointer.allocate(
      byteCount: count * DigestTree.nodeBytes, alignment: 16)
    defer { buffer.deallocate() }
    try content.readNodes(level: level, from: first, into: buffer)
    return hashes(UnsafeRawBufferPointer(buffer))
  }

  /// From the header, without reading. Throws `.wrongState` unless the map is at a point.
  public func root() throws(DigestError) -> Root { try requirePoint("its root") }

  /// Replaces one leaf of a working map. `digests` holds 256 entries, or as many as the leaf has pages.
  public func writeLeaf(
    _ leaf: Int64, _ digests: UnsafeBufferPointer<PageDigest>
  ) throws(DigestError) {
    try requireWorking()
    try LeafBlock.withBytes(digests, ofLeaf: leaf, of: format) { (bytes) throws(DigestError) in
      try content.writeLeaves(from: leaf, bytes)
    }
  }

  /// Makes the leaves of a working map durable that were written before, so that its owner may go on after
  /// a crash.
  public func sync() throws(DigestError) {
    try requireWorking()
    try syncContent()
  }

  /// A new point with the same content: only the header changes.
  public func relabel(at reference: PointReference, pass: PassID) throws(DigestError) {
    try requirePoint("a new point")
    try writeHeader { header in
      header.reference = reference
      header.pass = pass
    }
  }
}

/// 32 bytes each.
func hashes(_ bytes: UnsafeRawBufferPointer) -> [Hash256] {
  stride(from: 0, to: bytes.count, by: Hash256.byteCount).map { offset in
    Hash256(bytes: Array(bytes[offset..<(offset + Hash256.byteCount)]))!
  }
}
