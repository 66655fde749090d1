import ReplIO
import ReplModel

extension DigestMap {
  /// The newest good header of a file.
  static func newestHeader(_ file: any StorageFile, size: Int64) throws(DigestError) -> Held {
    var newest: Held?
    var unknown: String?
    for slot in 0..<2 {
      let offset = Int64(slot) * DigestFileLayout.slotStride
      guard size >= offset + Int64(DigestFileLayout.slotBytes) else { continue }
      switch DigestMapHeader.decode(try slotBytes(file, at: offset)) {
      case .nothing: continue
      case .unknown(let text): unknown = text
      case .header(let header):
        if let newest, newest.header.sequence >= header.sequence { continue }
        newest = Held(header: header, slot: slot)
      }
    }
    // A newer program's header is newer than any of ours beside it.
    if let unknown { throw DigestError(.foreign, file.path, "\(unknown); build the map anew") }
    guard let newest else {
      throw DigestError(.damaged, file.path, "neither header has a good checksum; build the map anew")
    }
    return newest
  }

  static func slotBytes(_ file: any StorageFile, at offset: Int64) throws(DigestError) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: DigestFileLayout.slotBytes)
    var failure: DigestError?
    bytes.withUnsafeMutableBytes { buffer in
      do throws(IOError) { try file.read(into: buffer, at: offset) } catch { failure = DigestError(error) }
    }
    if let failure { throw failure }
    return bytes
  }

  /// Writes the changed header to the slot that does not hold the newest one, and syncs. Everything that
  /// the new header claims is durable before the call.
  func writeHeader(_ change: (inout DigestMapHeader) -> Void) throws(DigestError) {
    try held.withLock { (held) throws(DigestError) in
      try requireSound(held)
      var header = held.header
      change(&header)
      header.sequence += 1
      let slot = 1 - held.slot
      let bytes = header.encode()
      do throws(DigestError) {
        try storage { () throws(IOError) in
          try writeBytes(bytes, to: content.file, at: Int64(slot) * DigestFileLayout.slotStride)
          // COMMIT POINT: before, the other slot's header stands; after, this one.
          try content.file.sync()
        }
      } catch {
        held.isSuspect = true
        throw error
      }
      held.header = header
      held.slot = slot
    }
  }

  /// Makes leaves and nodes durable. A failure is final for this map.
  func syncContent() throws(DigestError) {
    try held.withLock { (held) throws(DigestError) in
      try requireSound(held)
      do throws(DigestError) { try content.sync() } catch {
        held.isSuspect = true
        throw error
      }
    }
  }

  func requireWorking() throws(DigestError) {
    try held.withLock { (held) throws(DigestError) in
      try requireSound(held)
      guard held.header.state == .working else {
        throw DigestError(
          .wrongState, path, "only a map that is being built can be written; write into a delta over it")
      }
    }
  }

  @discardableResult func requirePoint(_ wanted: String) throws(DigestError) -> Root {
    try held.withLock { (held) throws(DigestError) in
      try requireSound(held)
      guard held.header.state == .at else {
        throw DigestError(
          .wrongState, path, "the map is not at a point, which \(wanted) needs; finish or merge first")
      }
      return held.header.root
    }
  }

  private func requireSound(_ held: Held) throws(DigestError) {
    guard !held.isSuspect else {
      throw DigestError(
        .suspect, path,
        "a write or sync failed earlier, so what the disk holds is not known; build the map anew")
    }
  }
}

/// Writes an array.
func writeBytes(_ bytes: [UInt8], to file: any StorageFile, at offset: Int64) throws(IOError) {
  var failure: IOError?
  bytes.withUnsafeBytes { buffer in
    do throws(IOError) { try file.write(buffer, at: offset) } catch { failure = error }
  }
  if let failure { throw failure }
}
