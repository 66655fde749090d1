import ReplIO
import ReplModel

/// A descriptor, and the file that it was found in.
struct DescriptorSource {
  let file: DiskFile
  let descriptor: VMDKDescriptor
  /// Where the image's own descriptor lies, for a descriptor that is embedded in a sparse image.
  let embedded: SectorRange?

  var path: String { file.path }
  var place: DiskFileName { file.place }

  /// Reads the descriptor that `file` is or embeds.
  init(reading file: DiskFile) throws(VMDKError) {
    let path = file.path
    let size = file.status.sizeBytes
    let head = try Self.read(file, ByteRange(offset: 0, length: min(size, 8)))
    try Self.refuseOtherImages(head, path)
    self.file = file
    if head.starts(with: HostedSparseHeader.magic) {
      let place = try Self.embeddedDescriptor(of: file)
      let range = ByteRange(offset: place.offsetBytes, length: place.endBytes - place.offsetBytes)
      descriptor = try VMDKDescriptor.parse(try Self.read(file, range), path: path)
      embedded = place
    } else {
      guard size <= Limits.descriptorBytes else {
        throw VMDKError(
          .descriptorTooLarge, path,
          "\(size) bytes are no descriptor (at most \(Limits.descriptorBytes)): name the small .vmdk, not the"
            + " data"
        )
      }
      let text = try Self.read(file, ByteRange(offset: 0, length: size))
      descriptor = try VMDKDescriptor.parse(text, path: path)
      embedded = nil
    }
  }

  /// A descriptor may lie in the first extent only where that is sparse. A disk of one image may have its
  /// descriptor beside it all the same: some tools write such pairs.
  func checkPlace() throws(VMDKError) {
    let type = descriptor.createType
    guard !type.isOneImage || descriptor.extents.count <= 1 else {
      throw VMDKError(
        .contradictoryExtents, path,
        "a \(type.rawValue) disk is one image, but \(descriptor.extents.count) extents are named: the"
          + " descriptor is damaged")
    }
    guard let embedded, let first = descriptor.extents.first else { return }
    guard first.kind == .sparse else {
      throw VMDKError(
        .contradictoryExtents, path, .sector(embedded.start),
        "a descriptor whose first extent is \(first.kind.rawValue) is embedded in a sparse image: the image"
          + " is damaged")
    }
  }

  private static func refuseOtherImages(_ head: [UInt8], _ path: String) throws(VMDKError) {
    if head.starts(with: Array("kdmv".utf8)) {
      throw VMDKError(
        .unfinishedFile, path, .sector(0),
        "the writer of this image has not finished it: run the conversion again")
    }
    let known: [([UInt8], VMDKCreateType)] = [
      (Array("COWD".utf8), .vmfsSparse), ([0xBE, 0xBA, 0xFE, 0xCA, 0, 0, 0, 0], .seSparse),
    ]
    for (magic, type) in known where head.starts(with: magic) {
      throw VMDKError(
        .unsupportedFormat, path, .sector(0),
        "\(type.rawValue): this is the data of a snapshot's delta without its descriptor: name the small"
          + " .vmdk that names this file")
    }
  }

  private static func embeddedDescriptor(of file: DiskFile) throws(VMDKError) -> SectorRange {
    let size = file.status.sizeBytes
    guard size >= Int64(HostedSparseHeader.byteCount) else {
      throw VMDKError(
        .truncatedHeader, file.path, "\(size) bytes are less than a header: the file was cut short")
    }
    let bytes = try read(file, ByteRange(offset: 0, length: Int64(HostedSparseHeader.byteCount)))
    let header = try HostedSparseHeader(decoding: bytes, fileSizeBytes: size, path: file.path)
    guard let place = header.descriptor else {
      throw VMDKError(
        .noEmbeddedDescriptor, file.path, .sector(0),
        "this is one piece of a split disk and has no descriptor: name the disk's descriptor instead")
    }
    return place
  }

  /// `range` is bounded by a limit of this module.
  private static func read(_ file: DiskFile, _ range: ByteRange) throws(VMDKError) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: Int(range.length))
    var failure: IOError?
    bytes.withUnsafeMutableBytes { buffer in
      do throws(IOError) { try file.read(into: buffer, at: range.offset) } catch { failure = error }
    }
    if let failure { throw VMDKError(reading: file.path, failure) }
    return bytes
  }
}
