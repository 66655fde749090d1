import Glibc
import ReplIO
import ReplModel

/// Opens the extents of one link.
struct LinkOpener {
  let source: DescriptorSource
  let files: DiskFiles
  let context: ExtentContext
  private(set) var found: [VMDKFile]
  private(set) var extents: [any LinkExtent] = []
  private(set) var warnings: [String] = []
  private(set) var isMarkedInUse = false
  private var places: Set<DiskFileName> = []

  init(_ source: DescriptorSource, files: DiskFiles, context: ExtentContext) {
    self.source = source
    self.files = files
    self.context = context
    found = [VMDKFile(source.file, source.embedded == nil ? .descriptor : .sparse)]
  }

  private var path: String { source.path }

  mutating func open(_ claims: inout FileClaims) throws(VMDKError) -> VMDKLink {
    let descriptor = source.descriptor
    claims.add(
      source.file.status, ByteRange(offset: 0, length: .max), path, nil, descriptorPath: path)
    for (index, extent) in descriptor.extents.enumerated() {
      if index == 0 && source.embedded != nil {
        try openSparse(extent, source.file)
        warnOfOtherName(extent)
        continue
      }
      try open(extent, &claims)
    }
    return VMDKLink(
      path: path, createType: descriptor.createType, contentID: descriptor.contentID,
      parentContentID: descriptor.parentContentID, sizeBytes: descriptor.sectorCount * Limits.sectorBytes,
      files: found, extents: extents)
  }

  private mutating func open(_ extent: VMDKExtentLine, _ claims: inout FileClaims) throws(VMDKError) {
    switch extent.kind {
    case .zero: extents.append(ZeroExtent(sizeBytes: extent.sectorCount * Limits.sectorBytes))
    case .flat, .vmfs, .vmfsRDM, .vmfsRaw: try openFlat(extent, &claims)
    case .sparse, .vmfsSparse, .seSparse:
      let file = try file(of: extent)
      add(file, .sparse)
      claims.add(
        file.status, ByteRange(offset: 0, length: .max), file.path, .line(extent.line),
        descriptorPath: path)
      try openSparse(extent, file)
    case .vsanSparse:
      throw VMDKError(
        .unsupportedCreateType, path, .line(extent.line),
        "the extent is a vSAN object that no file holds: move the disk off vSAN")
    }
  }

  // MARK: Flat

  private mutating func openFlat(
    _ extent: VMDKExtentLine, _ claims: inout FileClaims
  ) throws(VMDKError) {
    let file: DiskFile
    if let device = files.device(named: extent.fileName ?? "") {
      file = try open(device, of: extent)
      add(file, .device)
    } else {
      file = try self.file(of: extent)
      add(file, .flat)
    }
    // Both are at most `diskSectors`, 2^37: bytes and their sum fit.
    let range = ByteRange(
      offset: (extent.offsetSectors ?? 0) * Limits.sectorBytes,
      length: extent.sectorCount * Limits.sectorBytes)
    claims.add(file.status, range, file.path, .line(extent.line), descriptorPath: path)
    try check(range, of: file)
    extents.append(FlatExtent(file: file, range: range))
  }

  private func open(_ device: DeviceMapping, of extent: VMDKExtentLine) throws(VMDKError) -> DiskFile {
    do throws(IOError) { return try files.open(device) } catch {
      guard error.kind == .wrongFileType else {
        throw VMDKError(opening: device.path, reportedIn: path, .line(extent.line), error)
      }
      throw VMDKError(
        .notABlockDevice, path, .line(extent.line),
        "\"\(SafeText.printable(device.path))\", which stands for this extent, is no block device: name the"
          + " device itself", cause: error)
    }
  }

  private mutating func check(_ range: ByteRange, of file: DiskFile) throws(VMDKError) {
    let size: Int64
    do throws(IOError) { size = try file.currentSizeBytes() } catch {
      throw VMDKError(reading: file.path, error)
    }
    guard range.end <= size else {
      throw VMDKError(
        .fileTooShort, file.path, .sector(size / Limits.sectorBytes),
        "the file ends here, its extent at sector \(range.end / Limits.sectorBytes): the file was cut short"
          + " or is still being written")
    }
    if range.offset == 0 && range.end < size && warnings.count < Limits.warnings {
      warnings.append(
        "\(SafeText.printable(file.path)): \(size - range.end) bytes follow its extent and are not read")
    }
  }

  // MARK: Sparse

  private mutating func openSparse(_ extent: VMDKExtentLine, _ file: DiskFile) throws(VMDKError) {
    let opened = try OpenedExtent.open(
      kind: extent.kind, file: file, path: file.path, extentSectors: extent.sectorCount, context: context)
    extents.append(opened.extent)
    isMarkedInUse = isMarkedInUse || opened.isMarkedInUse
    if warnings.count < Limits.warnings { warnings += opened.warnings }
  }

  /// A copied image still names the file it was copied from, wherever that was: as in other readers, the file
  /// that was opened counts.
  private mutating func warnOfOtherName(_ extent: VMDKExtentLine) {
    let name = extent.fileName ?? ""
    do throws(DiskNames.Refusal) {
      if try files.names.place(of: name, besides: source.place) == source.place { return }
    } catch {
      // A name that leads nowhere is another name.
    }
    warnings.insert(
      "\(SafeText.printable(path)): the image calls itself \(SafeText.printable(name))", at: 0)
  }

  // MARK: Files

  private mutating func add(_ file: DiskFile, _ role: VMDKFile.Role) {
    // One file may hold several extents.
    if places.insert(file.place).inserted { found.append(VMDKFile(file, role)) }
  }

  private func place(of extent: VMDKExtentLine) throws(VMDKError) -> DiskFileName {
    do throws(DiskNames.Refusal) {
      return try files.names.place(of: extent.fileName ?? "", besides: source.place)
    } catch {
      throw VMDKError(error.code, path, .line(extent.line), error.detail)
    }
  }

  private func file(of extent: VMDKExtentLine) throws(VMDKError) -> DiskFile {
    let place = try place(of: extent)
    let spellings = DiskFiles.spellings(of: place, extent.fileName ?? "", extent.rawFileName)
    if let file = try files.first(of: spellings, reportedIn: path, .line(extent.line)) { return file }
    throw VMDKError(
      opening: files.shown(place), reportedIn: path, .line(extent.line),
      IOError(.system(ENOENT), "open", path: place.path))
  }
}
