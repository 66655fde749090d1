import ReplIO
import ReplModel

/// Finds the descriptors of a disk and of its parents. Opens nothing else: what is wrong with any of them is
/// said before an extent is touched.
struct ChainOpener {
  let files: DiskFiles
  let deviceNames: Set<String>

  /// Youngest first.
  func chain(from name: String) throws(VMDKError) -> [DescriptorSource] {
    var links = [try top(name)]
    var seen: Set<FileIdentity> = [FileIdentity(links[0].file.status)]
    while let child = links.last, child.descriptor.parentContentID != nil {
      let parent = try parent(of: child, seen: &seen)
      guard links.count < Limits.chainLinks else {
        throw VMDKError(
          .chainTooDeep, links[0].path,
          "the chain has more than \(Limits.chainLinks) links (ESXi allows 32): delete (consolidate)"
            + " snapshots")
      }
      links.append(parent)
      guard links.reduce(0, { $0 + $1.descriptor.extents.count }) <= Limits.chainExtents else {
        throw VMDKError(
          .tooManyExtents, parent.path,
          "the links of the chain have more than \(Limits.chainExtents) extents: delete (consolidate)"
            + " snapshots")
      }
    }
    return links
  }

  private func top(_ name: String) throws(VMDKError) -> DescriptorSource {
    let place: DiskFileName
    do throws(DiskNames.Refusal) { place = try files.names.place(of: name, besides: nil) } catch {
      throw VMDKError(error.code, name, error.detail)
    }
    let file: DiskFile
    do throws(IOError) { file = try files.open(place) } catch {
      throw VMDKError(opening: files.shown(place), reportedIn: files.shown(place), nil, error)
    }
    return try checked(file)
  }

  private func checked(_ file: DiskFile) throws(VMDKError) -> DescriptorSource {
    let source = try DescriptorSource(reading: file)
    try DiskKindCheck(descriptor: source.descriptor, path: source.path, deviceNames: deviceNames).check()
    try source.checkPlace()
    return source
  }

  // MARK: Parents

  private func parent(
    of child: DescriptorSource, seen: inout Set<FileIdentity>
  ) throws(VMDKError) -> DescriptorSource {
    let file = try parentFile(of: child)
    guard seen.insert(FileIdentity(file.status)).inserted else {
      throw VMDKError(
        .chainCycle, child.path,
        "its parent \"\(SafeText.printable(file.path))\" has it as a parent in turn: the descriptors are"
          + " damaged")
    }
    let parent = try checked(file)
    let wanted = child.descriptor.parentContentID ?? 0
    guard parent.descriptor.contentID == wanted else {
      throw VMDKError(
        .parentContentMismatch, child.path,
        "Content ID mismatch (parentCID \(hex(wanted)) != CID \(hex(parent.descriptor.contentID)) of"
          + " \"\(SafeText.printable(parent.path))\"): the parent was written after the snapshot was taken:"
          + " restore it, or go back to a state before the snapshot")
    }
    let (own, other) = (child.descriptor.sectorCount, parent.descriptor.sectorCount)
    guard own == other else {
      throw VMDKError(
        .parentCapacityDiffers, child.path,
        "the capacity of each link is different (\(own) != \(other) sectors in"
          + " \"\(SafeText.printable(parent.path))\"): the disk was resized under its snapshot: restore it")
    }
    return parent
  }

  private func parentFile(of child: DescriptorSource) throws(VMDKError) -> DiskFile {
    let hint = child.descriptor.parentFileNameHint ?? ""
    let places: [DiskFileName]
    do throws(DiskNames.Refusal) {
      places = try files.names.parentPlaces(of: hint, besides: child.place)
    } catch {
      throw VMDKError(error.code, child.path, "its parent: \(error.detail)")
    }
    for place in places {
      let spellings = DiskFiles.spellings(of: place, hint, child.descriptor.rawParentFileNameHint)
      if let file = try files.first(of: spellings, reportedIn: child.path, nil) { return file }
    }
    let next =
      PathText.datastore(of: hint).map {
        "path_map has no entry for \"\(SafeText.printable($0, limit: 64))\": add one, with the directory that"
          + " holds it here"
      } ?? "is the datastore complete, or is the directory that holds it not mapped?"
    throw VMDKError(
      .parentMissing, child.path, nil,
      "its parent \"\(SafeText.printable(hint, limit: 128))\" is not there (looked for"
        + " \(places.map { "\"\(SafeText.printable(files.shown($0)))\"" }.joined(separator: ", "))): \(next)")
  }

  private func hex(_ value: UInt32) -> String {
    HexText.encode((0..<4).map { UInt8(truncatingIfNeeded: value >> UInt32(24 - 8 * $0)) })
  }
}

/// One file whatever it is called.
struct FileIdentity: Hashable {
  let device: UInt64
  let inode: UInt64

  init(_ status: FileStatus) { (device, inode) = (status.device, status.inode) }
}
