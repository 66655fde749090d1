import CLinux
import Glibc
import ReplModel
import Synchronization

/// Makes ranges read as zero: by punching holes, or by writing zeros where the storage cannot do that.
final class ZeroWriter: Sendable {
  private static let chunkBytes = 1 << 20
  /// Set at the first refusal: the storage cannot punch holes, so zeros are written from then on.
  private let cannotPunch: Atomic<Bool>

  init(punches: Bool) { cannotPunch = Atomic(!punches) }

  func write(_ range: ByteRange, to file: PosixFile) throws(IOError) {
    // A hole past the end of the file changes nothing; the caller sets the size.
    if range.isEmpty { return }
    if !cannotPunch.load(ordering: .relaxed) {
      if repl_punch_hole(file.descriptor, range.offset, range.length) == 0 { return }
      guard errno == EOPNOTSUPP || errno == ENOSYS || errno == EINVAL else {
        throw .current("punch hole", path: file.path, offsetBytes: range.offset)
      }
      cannotPunch.store(true, ordering: .relaxed)
    }
    try Self.writeZeros(range, to: file)
  }

  /// Never punches.
  static func writeZeros(_ range: ByteRange, to file: PosixFile) throws(IOError) {
    let buffer = AlignedBuffer(byteCount: Int(min(Int64(chunkBytes), range.length)))
    var offset = range.offset
    while offset < range.end {
      let count = Int(min(Int64(buffer.bytes.count), range.end - offset))
      try file.write(UnsafeRawBufferPointer(rebasing: buffer.readable[0..<count]), at: offset)
      offset += Int64(count)
    }
  }
}
