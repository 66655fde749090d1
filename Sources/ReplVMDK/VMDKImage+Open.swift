import ReplIO
import ReplModel

extension VMDKImage {
  /// Opens a disk for reading.
  /// - Parameters:
  ///   - relativePath: the descriptor, or the image that embeds one, beneath `directory`.
  ///   - directory: the VM's folder; nothing outside of it is opened, and no symbolic link is followed.
  /// - Throws: `VMDKError` for what cannot be read, and for everything about which readers could differ.
  ///   Tables of sparse images are read when they are needed: what is wrong in them is an `IOError` of kind
  ///   `.damaged` then.
  public static func open(
    _ relativePath: String, in directory: PosixDirectory
  ) throws(VMDKError) -> VMDKImage {
    try ExtentName.check(relativePath, reportedIn: relativePath, nil)
    return VMDKImage(try DiskOpener(directory: directory).open(relativePath))
  }
}

/// What opening found.
struct OpenedDisk {
  let descriptor: VMDKDescriptor
  var files: [VMDKFile]
  var extents: [any BlockReadable] = []
  var warnings: [String] = []
  var isMarkedInUse = false
}

/// Opens the files of one disk.
struct DiskOpener {
  let directory: PosixDirectory

  func open(_ path: String) throws(VMDKError) -> OpenedDisk {
    let file = try openFile(path, reportedIn: path, nil)
    let size = try fileSize(file, path)
    let head = try read(file, ByteRange(offset: 0, length: min(size, 8)), path)
    if head.starts(with: HostedSparseHeader.magic) { return try openSparse(path, file, size) }
    try refuseOtherImages(head, path)
    guard size <= Limits.descriptorBytes else {
      throw VMDKError(
        .descriptorTooLarge, path,
        "\(size) bytes are no descriptor (at most \(Limits.descriptorBytes)): name the small .vmdk, not the"
          + " data"
      )
    }
    let text = try read(file, ByteRange(offset: 0, length: size), path)
    let descriptor = try VMDKDescriptor.parse(text, path: path)
    var disk = OpenedDisk(
      descriptor: descriptor, files: [VMDKFile(relativePath: path, file: file, role: .descriptor)])
    let kind = try DiskKindCheck(descriptor: descriptor, path: path).extentKind()
    guard kind != .sparse else {
      throw VMDKError(
        .contradictoryExtents, path,
        "monolithicSparse keeps its descriptor in the image, but this is a separate file: convert the disk")
    }
    try openFlatExtents(of: &disk, path)
    return disk
  }

  private func refuseOtherImages(_ head: [UInt8], _ path: String) throws(VMDKError) {
    if head.starts(with: Array("kdmv".utf8)) {
      throw VMDKError(
        .unfinishedFile, path, .sector(0),
        "the writer of this image has not finished it: run the conversion again")
    }
    let known: [([UInt8], VMDKCreateType)] = [
      (Array("COWD".utf8), .vmfsSparse), ([0xBE, 0xBA, 0xFE, 0xCA, 0, 0, 0, 0], .seSparse),
    ]
    for (magic, type) in known where head.starts(with: magic) {
      guard case .refused(let sentence) = type.reading else { continue }
      throw VMDKError(.unsupportedFormat, path, .sector(0), "\(type.rawValue): \(sentence)")
    }
  }

  // MARK: Sparse

  private func openSparse(_ path: String, _ file: PosixFile, _ size: Int64) throws(VMDKError) -> OpenedDisk {
    guard size >= Int64(HostedSparseHeader.byteCount) else {
      throw VMDKError(.truncatedHeader, path, "\(size) bytes are less than a header: the file was cut short")
    }
    let bytes = try read(file, ByteRange(offset: 0, length: Int64(HostedSparseHeader.byteCount)), path)
    let header = try HostedSparseHeader(decoding: bytes, fileSizeBytes: size, path: path)
    guard let place = header.descriptor else {
      throw VMDKError(
        .noEmbeddedDescriptor, path, .sector(0),
        "this is one piece of a split disk and has no descriptor: name the disk's descriptor instead")
    }
    let text = try read(
      file, ByteRange(offset: place.offsetBytes, length: place.endBytes - place.offsetBytes), path)
    let descriptor = try VMDKDescriptor.parse(text, path: path)
    let kind = try DiskKindCheck(descriptor: descriptor, path: path).extentKind()
    guard kind == .sparse, let extent = descriptor.extents.first, descriptor.extents.count == 1 else {
      throw VMDKError(
        .contradictoryExtents, path, .sector(place.start),
        "a \(descriptor.createType.rawValue) descriptor of \(descriptor.extents.count) extents is embedded"
          + " in a sparse"
          + " image: the image is damaged")
    }
    guard extent.sectorCount == header.capacitySectors else {
      throw VMDKError(
        .capacityMismatch, path, .line(extent.line),
        "the extent has \(extent.sectorCount) sectors, its header \(header.capacitySectors): the image is"
          + " damaged"
      )
    }
    var disk = OpenedDisk(
      descriptor: descriptor, files: [VMDKFile(relativePath: path, file: file, role: .sparse)],
      isMarkedInUse: header.isMarkedInUse)
    disk.warnings = try sparseWarnings(extent, header, path)
    disk.extents = [HostedSparseExtent(header: header, file: file, fileSizeBytes: size)]
    return disk
  }

  /// A copied image still names the file it was copied from: as in other readers, the file that was opened
  /// counts.
  private func sparseWarnings(
    _ extent: VMDKExtentLine, _ header: HostedSparseHeader, _ path: String
  ) throws(VMDKError) -> [String] {
    var warnings: [String] = []
    let named = try ExtentName.resolve(extent.fileName ?? "", besides: path, line: extent.line)
    if named != path {
      warnings.append("\(SafeText.printable(path)): the image calls itself \(SafeText.printable(named))")
    }
    if header.isMarkedInUse {
      warnings.append("\(SafeText.printable(path)): the image is in use, or was when its host stopped")
    }
    return warnings
  }

  // MARK: Flat

  private func openFlatExtents(of disk: inout OpenedDisk, _ path: String) throws(VMDKError) {
    var claims = FileClaims()
    try claims.add(
      status(disk.files[0].file, path), ByteRange(offset: 0, length: .max), path, .line(1),
      descriptorPath: path)
    var opened: [String: PosixFile] = [:]
    for extent in disk.descriptor.extents {
      let name = try ExtentName.resolve(extent.fileName ?? "", besides: path, line: extent.line)
      let file: PosixFile
      if let known = opened[name] {
        file = known
      } else {
        file = try openFile(name, reportedIn: path, .line(extent.line))
        disk.files.append(VMDKFile(relativePath: name, file: file, role: .flat))
        opened[name] = file
      }
      // Both are at most `diskSectors`, 2^37: bytes and their sum fit.
      let range = ByteRange(
        offset: (extent.offsetSectors ?? 0) * Limits.sectorBytes,
        length: extent.sectorCount * Limits.sectorBytes)
      let status = try status(file, name)
      try claims.add(status, range, name, .line(extent.line), descriptorPath: path)
      try check(range, against: status.sizeBytes, name, &disk.warnings)
      disk.extents.append(FlatExtent(file: file, range: range))
    }
  }

  private func check(
    _ range: ByteRange, against size: Int64, _ name: String, _ warnings: inout [String]
  ) throws(VMDKError) {
    guard range.end <= size else {
      throw VMDKError(
        .fileTooShort, name, .sector(size / Limits.sectorBytes),
        "the file ends here, its extent at sector \(range.end / Limits.sectorBytes): the file was cut short"
          + " or is still"
          + " being written")
    }
    if range.offset == 0 && range.end < size {
      warnings.append(
        "\(SafeText.printable(name)): \(size - range.end) bytes follow its extent and are not read")
    }
  }

  // MARK: Files

  private func openFile(
    _ name: String, reportedIn path: String, _ place: VMDKError.Place?
  ) throws(VMDKError) -> PosixFile {
    do throws(IOError) {
      return try directory.openPosixFile(name, .read)
    } catch {
      throw VMDKError(opening: name, reportedIn: path, place, error)
    }
  }

  private func status(_ file: PosixFile, _ path: String) throws(VMDKError) -> FileStatus {
    do throws(IOError) { return try file.status() } catch { throw VMDKError(reading: path, error) }
  }

  private func fileSize(_ file: PosixFile, _ path: String) throws(VMDKError) -> Int64 {
    try status(file, path).sizeBytes
  }

  /// `range` is bounded by a limit of this module.
  private func read(_ file: PosixFile, _ range: ByteRange, _ path: String) throws(VMDKError) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: Int(range.length))
    var failure: IOError?
    bytes.withUnsafeMutableBytes { buffer in
      do throws(IOError) { try file.read(into: buffer, at: range.offset) } catch { failure = error }
    }
    if let failure { throw VMDKError(reading: path, failure) }
    return bytes
  }
}
