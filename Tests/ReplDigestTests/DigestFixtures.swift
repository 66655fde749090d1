import Glibc
import ReplIO
import ReplModel

@testable import ReplDigest

/// A digest map in memory, and the digest tree once more, written as the format page says it, slowly.
struct ModelMap: Equatable {
  let format: DigestMapFormat
  var digests: [PageDigest]

  init(_ format: DigestMapFormat) {
    self.format = format
    digests = [PageDigest](repeating: .zero, count: Int(format.grid.pageCount))
  }

  static func random(_ format: DigestMapFormat, density: Int, _ random: inout SplitMix) -> ModelMap {
    var map = ModelMap(format)
    for leaf in 0..<format.grid.leafCount where Int.random(in: 0..<100, using: &random) < density {
      for page in format.grid.pages(ofLeaf: leaf) where page % 256 == 0 || random.coin() {
        map.digests[Int(page)] = PageDigest(low: random.next(), high: random.next())
      }
    }
    return map
  }

  /// Some pages of one leaf get new digests; now and then all become zero.
  mutating func change(_ leaf: Int64, _ random: inout SplitMix) {
    let pages = format.grid.pages(ofLeaf: leaf)
    let clears = Int.random(in: 0..<5, using: &random) == 0
    for page in pages where clears || random.coin() {
      digests[Int(page)] = clears ? .zero : PageDigest(low: random.next(), high: random.next())
    }
  }

  /// 256 entries.
  func leaf(_ leaf: Int64) -> [PageDigest] {
    let pages = format.grid.pages(ofLeaf: leaf)
    let used = digests[Int(pages.lowerBound)..<Int(pages.upperBound)]
    return Array(used) + [PageDigest](repeating: .zero, count: 256 - used.count)
  }

  func isZeroLeaf(_ index: Int64) -> Bool { leaf(index).allSatisfy(\.isZero) }

  /// Every level's nodes, level 1 first.
  func levels() -> [[Hash256]] {
    var levels = [
      (0..<format.grid.leafCount).map { index in
        isZeroLeaf(index) ? Hash256.zero : SHA256Hasher.hash([0] + leaf(index).flatMap(Self.bytes))
      }
    ]
    while levels.last!.count > 1 {
      let below = levels.last!
      let tag: [UInt8] = [1, UInt8(levels.count + 1)]
      levels.append(
        stride(from: 0, to: below.count, by: 256).map { first in
          let children = below[first..<min(first + 256, below.count)]
          if children.allSatisfy({ $0 == .zero }) { return .zero }
          let padding = [UInt8](repeating: 0, count: 32 * (256 - children.count))
          return SHA256Hasher.hash(tag + children.flatMap(\.bytes) + padding)
        })
    }
    return levels
  }

  func root() -> Root {
    let size = UInt64(format.grid.sizeBytes)
    var bytes: [UInt8] = [2, 1, 0, 0, 0]
    bytes += (0..<4).map { UInt8(truncatingIfNeeded: format.grid.pageSizeBytes >> (8 * $0)) }
    bytes += (0..<8).map { UInt8(truncatingIfNeeded: size >> UInt64(8 * $0)) }
    return SHA256Hasher.hash(bytes + levels().last![0].bytes)
  }

  static func bytes(_ digest: PageDigest) -> [UInt8] {
    [digest.low, digest.high].flatMap { word in
      (0..<8).map { UInt8(truncatingIfNeeded: word >> UInt64(8 * $0)) }
    }
  }

  /// What a view shows.
  init(reading view: any DigestView) throws {
    self.init(view.format)
    var leaf = [PageDigest](repeating: .zero, count: 256)
    digests = []
    for index in 0..<format.grid.leafCount {
      let pages = format.grid.pages(ofLeaf: index)
      try leaf.withUnsafeMutableBufferPointer { try view.readLeaf(index, into: $0) }
      digests += leaf[0..<Int(pages.upperBound - pages.lowerBound)]
    }
  }
}

enum Fixture {
  /// The leaves that a delta has its own version of, in order.
  static func heldLeaves(of delta: DigestDelta) -> [Int64] {
    var found: [Int64] = []
    while let leaf = delta.heldLeaf(atOrAfter: (found.last ?? -1) + 1) { found.append(leaf) }
    return found
  }

  static func format(pages: Int64, pageSize: Int = 4096, lastPageBytes: Int64 = 1) -> DigestMapFormat {
    let size = (pages - 1) * Int64(pageSize) + lastPageBytes
    return DigestMapFormat(
      disk: DiskID(high: 1, low: UInt64(pages)), grid: PageGrid(sizeBytes: size, pageSizeBytes: pageSize)!,
      keyID: KeyID(high: 3, low: 4))
  }

  static func point(_ number: UInt64) -> PointReference { PointReference(epoch: Epoch(1), number: number) }
  static func pass(_ number: UInt64) -> PassID { PassID(high: 7, low: number) }

  /// A finished map with the model's content, at point and pass `number`.
  static func build(
    _ name: String, _ model: ModelMap, in directory: any StorageDirectory, number: UInt64 = 1
  ) throws(DigestError) -> DigestMap {
    let map = try DigestMap.create(name, in: directory, format: model.format)
    for leaf in 0..<model.format.grid.leafCount where !model.isZeroLeaf(leaf) {
      try write(model.leaf(leaf), leaf, map.writeLeaf)
    }
    _ = try map.finish(at: point(number), pass: pass(number))
    return map
  }

  /// A delta that turns `base` into `model`, not yet sealed.
  static func delta(
    _ name: String, from old: ModelMap, to model: ModelMap, over base: DigestMap,
    in directory: any StorageDirectory
  ) throws(DigestError) -> DigestDelta {
    let delta = try DigestDelta.create(name, in: directory, over: base)
    for leaf in 0..<model.format.grid.leafCount where model.leaf(leaf) != old.leaf(leaf) {
      try write(model.leaf(leaf), leaf, delta.writeLeaf)
    }
    return delta
  }

  static func write(
    _ digests: [PageDigest], _ leaf: Int64,
    _ body: (Int64, UnsafeBufferPointer<PageDigest>) throws(DigestError) -> Void
  ) throws(DigestError) {
    var failure: DigestError?
    digests.withUnsafeBufferPointer { buffer in
      do throws(DigestError) { try body(leaf, buffer) } catch { failure = error }
    }
    if let failure { throw failure }
  }

  /// A fresh directory of the operating system; the caller removes it.
  static func withDirectory(_ body: (PosixDirectory) throws -> Void) throws {
    var template = Array("/tmp/digest-test-XXXXXX".utf8CString)
    guard let made = mkdtemp(&template) else { throw IOError.current("make directory", path: "/tmp") }
    let path = String(cString: made)
    let directory = try PosixDirectory(path: path)
    defer {
      // A leftover of a failed test is not worth failing once more.
      for name in (try? directory.entryNames()) ?? [] { try? directory.removeFile(name) }
      rmdir(path)
    }
    try body(directory)
  }
}
