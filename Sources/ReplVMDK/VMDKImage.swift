import ReplIO
import ReplModel

/// A virtual disk, read-only: one address space, whatever it is made of. Safe to read from several threads at
/// once.
///
/// The files stay open for as long as the object lives; what they held when it was opened is what it expects.
public final class VMDKImage: BlockReadable {
  public let sizeBytes: Int64
  public let createType: VMDKCreateType
  /// What the standby's descriptor keeps.
  public let facts: DiskFacts
  /// `CID`: changes when the disk is written after it was opened.
  public let contentID: UInt32
  /// Every file the disk is read from, the one that was named first.
  public let files: [VMDKFile]
  /// What is odd but harmless, a sentence each.
  public let warnings: [String]
  /// A sparse image that is open, or was when its host stopped.
  public let isMarkedInUse: Bool

  private let extents: [any BlockReadable]
  /// Where each extent starts on the disk, in bytes.
  private let starts: [Int64]

  init(_ parts: OpenedDisk) {
    createType = parts.descriptor.createType
    contentID = parts.descriptor.contentID
    sizeBytes = parts.descriptor.sectorCount * Limits.sectorBytes
    files = parts.files
    isMarkedInUse = parts.isMarkedInUse
    let kept = KeptFacts(of: parts.descriptor.diskDataBase)
    facts = kept.facts
    warnings = Array((parts.warnings + kept.warnings).prefix(Limits.warnings))
    extents = parts.extents
    var position: Int64 = 0
    starts = parts.extents.map { extent in
      defer { position += extent.sizeBytes }
      return position
    }
    precondition(position == sizeBytes, "extents do not add up to the disk")
  }

  /// The disk's own identity, from `ddb.uuid`; nil when there is none (disks made by QEMU, for example).
  public var diskUUID: DiskID? { facts["uuid"].flatMap { DiskID($0) } }

  public func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int64) throws(IOError) {
    guard let range = ByteRange(checkedOffset: offset, length: Int64(buffer.count)), range.end <= sizeBytes
    else {
      throw IOError(
        .unexpectedEnd, "read", path: files[0].file.path, offsetBytes: offset,
        detail: "the disk has \(sizeBytes) bytes")
    }
    if extents.count == 1 { return try extents[0].read(into: buffer, at: offset) }
    var done = 0
    while done < buffer.count {
      let position = offset + Int64(done)
      let index = extentIndex(at: position)
      let inExtent = position - starts[index]
      let count = Int(min(Int64(buffer.count - done), extents[index].sizeBytes - inExtent))
      try extents[index].read(
        into: UnsafeMutableRawBufferPointer(rebasing: buffer[done..<(done + count)]), at: inExtent)
      done += count
    }
  }

  /// As `BlockReadable` says; a long allocated stretch may come in several adjacent ranges.
  public func allocatedRange(atOrAfter offset: Int64) throws(IOError) -> ByteRange? {
    guard offset < sizeBytes else { return nil }
    var index = extentIndex(at: max(0, offset))
    var position = max(0, offset)
    while index < extents.count {
      if let found = try extents[index].allocatedRange(atOrAfter: position - starts[index]) {
        let start = starts[index] + found.offset
        return try joined(ByteRange(offset: start, length: found.length), endingIn: index)
      }
      index += 1
      if index < extents.count { position = starts[index] }
    }
    return nil
  }

  /// Adds what follows in the next extents without a gap.
  private func joined(_ range: ByteRange, endingIn last: Int) throws(IOError) -> ByteRange {
    var length = range.length
    var next = last + 1
    while next < extents.count, range.offset + length == starts[next], length < Limits.allocatedRangeBytes {
      guard let more = try extents[next].allocatedRange(atOrAfter: 0), more.offset == 0 else { break }
      length += more.length
      next += 1
    }
    return ByteRange(offset: range.offset, length: length)
  }

  private func extentIndex(at position: Int64) -> Int {
    var low = 0
    var high = starts.count
    while high - low > 1 {
      let middle = (low + high) / 2
      if starts[middle] <= position { low = middle } else { high = middle }
    }
    return low
  }
}
