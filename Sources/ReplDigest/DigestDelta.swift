import ReplIO
import ReplModel
import Synchronization

/// The map entries that a pass in flight changes: whole leaves over a base map, in a file of its own, until
/// they are merged into the base or dropped.
///
/// The layout, the order of writes and what a crash leaves are on the page DigestMapFormat. Leaves may be
/// written and read from several threads at once, in any order; one leaf is written by one thread at a
/// time. Memory: one bit per leaf.
public final class DigestDelta: DigestView {
  enum Phase: Equatable {
    case open
    case sealed(DigestDeltaHeader.Seal)
    /// Merged or discarded: the file is gone.
    case gone
    /// A sync failed.
    case suspect
  }

  struct Held {
    var phase: Phase
    /// Per level, level 1 (one bit per leaf) first: what this delta holds.
    var touched: [LeafBitmap]
    /// Per level from 2 on: nodes whose children changed since they were hashed.
    var dirty: [LeafBitmap]
    /// The root of base plus delta; nil when something changed since.
    var root: Root?
  }

  /// That of the base map.
  public let format: DigestMapFormat
  /// The root of the base map that this delta is over.
  public let baseRoot: Root
  let base: DigestMap
  let name: String
  let directory: any StorageDirectory
  let content: DigestFile
  let held: Mutex<Held>

  /// The file, for messages.
  public var path: String { content.file.path }

  init(
    _ name: String, in directory: any StorageDirectory, over base: DigestMap, baseRoot: Root,
    file: any StorageFile, held: Held
  ) {
    self.name = name
    self.directory = directory
    self.base = base
    self.baseRoot = baseRoot
    format = base.format
    content = DigestFile(file: file, layout: base.content.layout)
    self.held = Mutex(held)
  }

  /// A new delta without any leaf, over a map that is at a point. Durably takes the place of whatever had
  /// that name.
  public static func create(
    _ name: String, in directory: any StorageDirectory, over base: DigestMap
  ) throws(DigestError) -> DigestDelta {
    let baseRoot = try base.requirePoint("a delta over it")
    let header = DigestDeltaHeader(format: base.format, baseRoot: baseRoot)
    let layout = base.content.layout
    let file = try storage { () throws(IOError) in
      try directory.replaceFile(name, with: header.encode())
      let file = try directory.openFile(name, .readWrite)
      try file.truncate(to: layout.deltaBytes)
      return file
    }
    let levels = (1...layout.shape.levelCount).map { LeafBitmap(bitCount: layout.shape.nodeCount(level: $0)) }
    let held = Held(phase: .open, touched: levels, dirty: Array(levels.dropFirst()), root: baseRoot)
    return DigestDelta(name, in: directory, over: base, baseRoot: baseRoot, file: file, held: held)
  }

  /// The pass that sealed it; nil while it is open.
  public var sealedPass: PassID? {
    held.withLock { held in
      if case .sealed(let seal) = held.phase { seal.pass } else { nil }
    }
  }

  /// Replaces one leaf. `digests` holds 256 entries, or as many as the leaf has pages.
  public func writeLeaf(
    _ leaf: Int64, _ digests: UnsafeBufferPointer<PageDigest>
  ) throws(DigestError) {
    try requireOpen()
    try LeafBlock.withBytes(digests, ofLeaf: leaf, of: format) { (bytes) throws(DigestError) in
      try put(leaf, bytes)
    }
  }

  /// Replaces the digests of adjacent pages; the rest of their leaves is taken from what this delta shows
  /// now. For one writer at a time. Throws `.outOfRange` for pages outside the disk.
  public func setPages(
    first page: Int64, _ digests: UnsafeBufferPointer<PageDigest>
  ) throws(DigestError) {
    let pageCount = format.grid.pageCount
    guard page >= 0, page <= pageCount, Int64(digests.count) <= pageCount - page else {
      throw DigestError(
        .outOfRange, path, "\(digests.count) pages from \(page) are outside the disk of \(pageCount) pages")
    }
    let perLeaf = PageGrid.pagesPerLeaf
    let leaf = UnsafeMutableBufferPointer<PageDigest>.allocate(capacity: perLeaf)
    defer { leaf.deallocate() }
    var done = 0
    while done < digests.count {
      let (index, start) = (page + Int64(done)).quotientAndRemainder(dividingBy: Int64(perLeaf))
      let count = min(digests.count - done, perLeaf - Int(start))
      try readLeaf(index, into: leaf)
      for offset in 0..<count { leaf[Int(start) + offset] = digests[done + offset] }
      try writeLeaf(index, UnsafeBufferPointer(leaf))
      done += count
    }
  }

  /// The delta's version of the leaf, else the base's.
  public func readLeaf(
    _ leaf: Int64, into digests: UnsafeMutableBufferPointer<PageDigest>
  ) throws(DigestError) {
    try checkLeaf(leaf, of: format)
    guard try isHeldHere(leaf) else { return try base.readLeaf(leaf, into: digests) }
    precondition(digests.count == PageGrid.pagesPerLeaf, "a leaf has 256 digests")
    try content.readLeaves(from: leaf, into: PageDigestLayout.bytes(digests))
  }

  /// Leaves of the delta count as content, also when they are all zero.
  public func leafWithContent(atOrAfter leaf: Int64) throws(DigestError) -> Int64? {
    let inBase = try base.leafWithContent(atOrAfter: leaf)
    let here = held.withLock { $0.touched[0].next(atOrAfter: max(0, leaf)) }
    return [inBase, here].compactMap { $0 }.min()
  }

  /// Removes the file; nothing else can be done with the delta then. Does nothing when it is gone already.
  public func discard() throws(DigestError) {
    try held.withLock { (held) throws(DigestError) in
      guard held.phase != .gone else { return }
      try storage { () throws(IOError) in try directory.removeFile(name) }
      held.phase = .gone
    }
  }

  private func isHeldHere(_ leaf: Int64) throws(DigestError) -> Bool {
    try held.withLock { (held) throws(DigestError) in
      try requireThere(held)
      return held.touched[0].contains(leaf)
    }
  }

  /// The leaf is in the file before its bit is set: a reader sees the base's leaf or this one.
  private func put(_ leaf: Int64, _ bytes: UnsafeRawBufferPointer) throws(DigestError) {
    var hash: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
    withUnsafeMutableBytes(of: &hash) { DigestTree().leafNode(bytes, into: $0) }
    try content.writeLeaves(from: leaf, bytes)
    var failure: DigestError?
    withUnsafeBytes(of: &hash) { node in
      do throws(DigestError) { try content.writeNodes(level: 1, from: leaf, node) } catch { failure = error }
    }
    if let failure { throw failure }
    try held.withLock { (held) throws(DigestError) in
      try requireOpen(held)
      held.root = nil
      var index = leaf
      for level in held.touched.indices {
        held.touched[level].insert(index)
        index /= Int64(DigestTreeShape.fanOut)
        if level < held.dirty.count { held.dirty[level].insert(index) }
      }
    }
  }

  func requireOpen() throws(DigestError) {
    try held.withLock { (held) throws(DigestError) in try requireOpen(held) }
  }

  func requireOpen(_ held: Held) throws(DigestError) {
    try requireThere(held)
    guard held.phase == .open else {
      throw DigestError(.wrongState, path, "the delta is sealed; merge or discard it first")
    }
  }

  func requireThere(_ held: Held) throws(DigestError) {
    switch held.phase {
    case .open, .sealed: return
    case .gone: throw DigestError(.wrongState, path, "the delta was merged or discarded; make a new one")
    case .suspect:
      throw DigestError(
        .suspect, path, "a sync failed earlier, so what the disk holds is not known; discard the delta")
    }
  }
}
