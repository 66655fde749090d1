import ReplIO

/// A hosted sparse extent whose grains are packed one by one: a stream-optimized disk, or what ESXi, ovftool
/// and QEMU write as version 3.
final class StreamOptimizedExtent: LinkExtent {
  let sizeBytes: Int64
  private let walk: GrainTableWalk
  private let grains: StreamOptimizedGrain
  private let context: ExtentContext
  private let owner: Int

  private init(_ tables: HostedSparseTables, _ grains: StreamOptimizedGrain, _ context: ExtentContext) {
    sizeBytes = tables.shape.sizeBytes
    self.grains = grains
    self.context = context
    walk = GrainTableWalk(tables, context)
    owner = context.newOwner()
  }

  /// Opens the extent; the grain directory lies in front, or where the footer says.
  /// - Parameters:
  ///   - path: for messages.
  ///   - extentSectors: what the extent line says.
  ///   - context: one for all extents of a disk.
  static func open(
    file: any StorageFile, path: String, extentSectors: Int64, context: ExtentContext = ExtentContext()
  ) throws(VMDKError) -> OpenedExtent {
    let head = try ExtentHead(file, path: path)
    let header = try HostedSparseHeader(
      decoding: head.bytes(at: 0, count: HostedSparseHeader.byteCount), fileSizeBytes: head.fileSizeBytes,
      path: path)
    try head.checkCapacity(header.capacitySectors, extentSectors: extentSectors)
    guard header.isCompressed else {
      throw head.refuse(.badCompression, "the grains are not compressed, which this kind of extent is")
    }
    let real = header.directoryIsAtEnd ? try StreamOptimizedFooter.read(head, header: header) : header
    guard let directory = real.directory else {
      throw head.refuse(.badFooter, "the footer does not say where the grain directory is")
    }
    let tables = HostedSparseTables(
      header: real, directory: directory, file: file, path: path, fileSizeBytes: head.fileSizeBytes, context)
    let grains = StreamOptimizedGrain(file: file, fileSizeBytes: head.fileSizeBytes, shape: real.shape)
    var warnings = HostedSparseExtent.warnings(header, path)
    if header.directoryIsAtEnd, let warning = real.warning { warnings.append(warning) }
    return OpenedExtent(
      extent: StreamOptimizedExtent(tables, grains, context), warnings: warnings,
      isMarkedInUse: header.isMarkedInUse)
  }

  func piece(at offset: Int64) throws(IOError) -> LinkPiece { try walk.piece(at: offset) }

  func nextPresent(atOrAfter offset: Int64) throws(IOError) -> Int64? {
    try walk.nextPresent(atOrAfter: offset)
  }

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int64) throws(IOError) {
    guard let start = buffer.baseAddress else { return }
    var done = 0
    while done < buffer.count {
      let position = offset + Int64(done)
      let inGrain = Int(position % walk.shape.grainBytes)
      let count = min(buffer.count - done, Int(walk.shape.grainBytes) - inGrain)
      let grain = try unpacked(
        position / walk.shape.grainBytes, at: try walk.place(in: grains.file, at: position))
      // `read` never goes past the disk, nor does what is unpacked of a grain.
      grain[inGrain..<(inGrain + count)].withUnsafeBytes { source in
        UnsafeMutableRawBufferPointer(start: start + done, count: count).copyMemory(from: source)
      }
      done += count
    }
  }

  /// Kept for a while: a disk is read in pieces much smaller than a grain.
  private func unpacked(_ grain: Int64, at sector: Int64) throws(IOError) -> [UInt8] {
    if let known = context.keptGrain(owner, grain) { return known }
    let bytes = try grains.bytes(ofGrain: grain, at: sector)
    context.keep(grain: bytes, owner, grain)
    return bytes
  }
}
