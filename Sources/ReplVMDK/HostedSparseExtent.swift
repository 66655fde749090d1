import ReplIO
import ReplModel

/// A hosted sparse extent (`KDMV`) whose grains lie in the file as they are.
enum HostedSparseExtent {
  /// Opens the extent.
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
    guard !header.isCompressed, let directory = header.directory else {
      throw head.refuse(.badCompression, "the grains are compressed, which this kind of extent is not")
    }
    let tables = HostedSparseTables(
      header: header, directory: directory, file: file, path: path, fileSizeBytes: head.fileSizeBytes,
      context)
    return OpenedExtent(
      extent: PlainGrainExtent(tables, file, context), warnings: warnings(header, path),
      isMarkedInUse: header.isMarkedInUse)
  }

  /// What a header says that people should know.
  static func warnings(_ header: HostedSparseHeader, _ path: String) -> [String] {
    let shown = SafeText.printable(path)
    let inUse = header.isMarkedInUse ? "\(shown): the image is in use, or was when its host stopped" : nil
    return [header.warning, inUse].compactMap { $0 }
  }
}
