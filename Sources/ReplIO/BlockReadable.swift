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

  /// Makes the next reads of `range` (and perhaps of more) come from the storage instead of this machine's
  /// memory, as far as that can be had: what was written and not synced stays in memory, and so does what
  /// others use. Without it a proof would read what was written, not what is there: whatever stands before
  /// another disk passes it on.
  func forgetCached(_ range: ByteRange) throws(IOError)
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
