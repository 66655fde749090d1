import ReplModel

/// A disk that can be read: one address space with a size. Safe to use from several threads at once.
///
/// Nothing here says what the disk is made of: a flat file, a chain of sparse images, a block device.
public protocol BlockReadable: AnyObject, Sendable {
  /// Bytes.
  var sizeBytes: Int64 { get }

  /// Fills all of `buffer` from `offset`; never returns fewer bytes. Bytes that were never written read as
  /// zero.
  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int64) throws(IOError)

  /// The next range at or after `offset` that may hold anything but zeros; nil when there is none up to the
  /// end. A claim that costs little to ask; content that it leaves out reads as zero.
  func allocatedRange(atOrAfter offset: Int64) throws(IOError) -> ByteRange?

  /// Asks the system to forget what it keeps in memory of `range`, so that the next read comes from the
  /// storage. A wish: what was not written to the storage yet stays, and so does what others use.
  func dropCache(_ range: ByteRange) throws(IOError)
}

extension BlockReadable {
  /// Nothing is kept in memory.
  public func dropCache(_ range: ByteRange) throws(IOError) {}
}

/// A disk that can be written as well.
public protocol BlockWritable: BlockReadable {
  /// Writes all of `buffer` at `offset`. Durable only after `sync`.
  func write(_ buffer: UnsafeRawBufferPointer, at offset: Int64) throws(IOError)

  /// Makes `range` read as zeros, without using space where the storage can do that. Durable only after
  /// `sync`.
  func writeZeros(_ range: ByteRange) throws(IOError)

  /// Returns when everything written before is on stable storage. A failure is final: what was written since
  /// the last good sync may be lost whatever a second try says, so nobody tries again.
  func sync() throws(IOError)
}
