import ReplIO
import ReplModel

extension DigestDelta {
  /// Makes the delta durable as that of `pass`. A crash leaves no sealed delta or a whole one. Throws
  /// `.rootMismatch` when base plus delta does not have `root`.
  public func seal(pass: PassID, root: Root) throws(DigestError) {
    try held.withLock { (held) throws(DigestError) in
      try requireOpen(held)
      let found = try refresh(&held)
      guard found == root else {
        throw DigestError(
          .rootMismatch, path, "the delta has root \(found), the pass says \(root); read the disk again")
      }
      try writeBitmap(held.touched[0])
      let seal = DigestDeltaHeader.Seal(
        pass: pass, root: root, touchedLeaves: held.touched[0].setCount,
        bitmapHash: Self.hash(held.touched[0]))
      var header = DigestDeltaHeader(format: format, baseRoot: baseRoot)
      header.seal = seal
      do throws(DigestError) {
        try content.sync()
        try storage { () throws(IOError) in
          try writeBytes(header.encode(), to: content.file, at: 0)
          // COMMIT POINT: before, the header says open and the delta is dropped at the next start; after,
          // it is whole.
          try content.file.sync()
        }
      } catch {
        held.phase = .suspect
        throw error
      }
      held.phase = .sealed(seal)
    }
  }

  static func hash(_ bitmap: LeafBitmap) -> Hash256 {
    let hasher = SHA256Hasher()
    // The words are little-endian in memory as in the file; PageDigestLayout refuses any other machine.
    bitmap.words.withUnsafeBytes { hasher.update($0) }
    return hasher.finalize()
  }

  /// In blocks, leaving out those that are all zero.
  private func writeBitmap(_ bitmap: LeafBitmap) throws(DigestError) {
    let start = content.layout.mapBytes
    var failure: IOError?
    bitmap.words.withUnsafeBytes { bytes in
      for offset in stride(from: 0, to: bytes.count, by: 1 << 16) {
        let block = UnsafeRawBufferPointer(rebasing: bytes[offset..<min(offset + 1 << 16, bytes.count)])
        if ZeroTest.isZero(block) { continue }
        do throws(IOError) { try content.file.write(block, at: start + Int64(offset)) } catch {
          failure = error
          return
        }
      }
    }
    if let failure { throw DigestError(failure) }
  }
}
