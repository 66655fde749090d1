import ReplIO

/// An extent that is ready to be read, and what opening it has found.
struct OpenedExtent {
  let extent: any LinkExtent
  /// What is odd but harmless, a sentence each.
  var warnings: [String] = []
  /// The extent is open, or was when its host stopped.
  var isMarkedInUse = false

  /// Opens a sparse extent of any kind.
  /// - Parameters:
  ///   - kind: what the extent line says: SPARSE, VMFSSPARSE or SESPARSE.
  ///   - path: for messages.
  ///   - extentSectors: what the extent line says.
  ///   - context: one for all extents of a disk.
  static func open(
    kind: VMDKExtentLine.Kind, file: any StorageFile, path: String, extentSectors: Int64,
    context: ExtentContext
  ) throws(VMDKError) -> OpenedExtent {
    switch kind {
    case .vmfsSparse:
      return try COWDExtent.open(file: file, path: path, extentSectors: extentSectors, context: context)
    case .seSparse:
      return try SESparseExtent.open(file: file, path: path, extentSectors: extentSectors, context: context)
    case .sparse:
      return try openHosted(file: file, path: path, extentSectors: extentSectors, context: context)
    default:
      throw VMDKError(.unknownExtentType, path, "a \(kind.rawValue) extent is not sparse")
    }
  }

  /// The header says whether the grains are packed.
  private static func openHosted(
    file: any StorageFile, path: String, extentSectors: Int64, context: ExtentContext
  ) throws(VMDKError) -> OpenedExtent {
    let header = try HostedSparseHeader.read(file, path: path)
    if header.isCompressed {
      return try StreamOptimizedExtent.open(
        file: file, path: path, extentSectors: extentSectors, context: context)
    }
    return try HostedSparseExtent.open(
      file: file, path: path, extentSectors: extentSectors, context: context)
  }
}
