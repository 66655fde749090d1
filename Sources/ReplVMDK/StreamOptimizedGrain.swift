import ReplCompression
import ReplIO

/// Reads one packed grain: a marker, then a zlib stream (RFC 1950) with its Adler-32.
///
/// | offset | size | field |
/// |---|---|---|
/// | 0 | 8 | first sector of the disk that the grain holds |
/// | 8 | 4 | bytes of the zlib stream, more than 0 |
/// | 12 | | the stream |
struct StreamOptimizedGrain {
  static let markerBytes = 12

  let file: any StorageFile
  let fileSizeBytes: Int64
  let shape: GrainShape

  /// The part of `grain` that belongs to the disk, from the marker at `sector`.
  func bytes(ofGrain grain: Int64, at sector: Int64) throws(IOError) -> [UInt8] {
    let offset = sector * Limits.sectorBytes
    var marker = [UInt8](repeating: 0, count: Self.markerBytes)
    try file.read(&marker, at: offset)
    let fields = LittleEndian(marker)
    let (lba, size) = (fields.uint64(0), Int64(fields.uint32(8)))
    guard lba == UInt64(grain * shape.grainSectors) else {
      throw damaged(
        sector, grain, "its marker is for sector \(lba) of the disk, not \(grain * shape.grainSectors)")
    }
    // Stored blocks make a stream larger than the grain; twice as large is no grain.
    guard size > 0, size <= 2 * shape.grainBytes else {
      throw damaged(
        sector, grain, "its marker gives \(size) bytes, not 1 to \(2 * shape.grainBytes)")
    }
    guard size <= fileSizeBytes - offset - Int64(Self.markerBytes) else {
      throw damaged(
        sector, grain, "its \(size) bytes lie outside the extent (\(fileSizeBytes) bytes): it was cut short")
    }
    var packed = [UInt8](repeating: 0, count: Int(size))
    try file.read(&packed, at: offset + Int64(Self.markerBytes))
    return try unpack(packed, grain, sector)
  }

  /// The last grain of a disk may be written in full or end with the disk.
  private func unpack(_ packed: [UInt8], _ grain: Int64, _ sector: Int64) throws(IOError) -> [UInt8] {
    let wanted = Int(shape.sectors(ofGrain: grain) * Limits.sectorBytes)
    let full = Int(shape.grainBytes)
    do throws(CompressionError) {
      return try inflate(packed, count: wanted)
    } catch {
      guard wanted < full, error.code == .outputTooLarge else { throw undone(error, grain, sector) }
    }
    do throws(CompressionError) {
      return Array(try inflate(packed, count: full)[..<wanted])
    } catch {
      throw undone(error, grain, sector)
    }
  }

  private func inflate(_ packed: [UInt8], count: Int) throws(CompressionError) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    var failure: CompressionError?
    packed.withUnsafeBytes { source in
      bytes.withUnsafeMutableBytes { target in
        do throws(CompressionError) {
          try Decompressor().decompress(.zlib, source, into: target)
        } catch {
          failure = error
        }
      }
    }
    if let failure { throw failure }
    return bytes
  }

  private func undone(_ error: CompressionError, _ grain: Int64, _ sector: Int64) -> IOError {
    damaged(sector, grain, "it cannot be unpacked: \(error)")
  }

  private func damaged(_ sector: Int64, _ grain: Int64, _ what: String) -> IOError {
    IOError(
      .damaged, "read", path: file.path, offsetBytes: sector * Limits.sectorBytes,
      detail: "sector \(sector): grain \(grain): \(what): the image is damaged or still being written")
  }
}
