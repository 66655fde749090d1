import ReplIO
import ReplModel
import ReplVMDK

/// Looks at disks, one after the other.
struct InspectionOfDisk {
  let folder: PosixDirectory
  let request: InspectionRequest
  let progress: (InspectionRequest.Progress) -> Void

  /// Fills in what the disk's files say; what cannot be read becomes its problem. Nil when it does not open.
  @discardableResult
  func look(at disk: inout Inspection.Disk) -> VMDKImage? {
    let image: VMDKImage
    do throws(VMDKError) { image = try VMDKImage.open(disk.file, in: folder, request.opening) } catch {
      disk.refuse("\(error)")
      return nil
    }
    disk.diskUUID = image.diskUUID
    disk.createType = image.createType.rawValue
    disk.sizeBytes = image.sizeBytes
    disk.markedInUse = image.isMarkedInUse
    disk.inodes = Self.inodes(of: image.links[..<1])
    disk.parentInodes = Self.inodes(of: image.links[1...])
    disk.storedBytes = image.files.reduce(0) { $0 + $1.status.allocatedBytes }
    var lost: [String] = []
    disk.links = image.links.map { Self.link($0, &lost) }
    if isExcluded(disk) {
      disk.state = .excluded
      disk.problem = nil
      disk.warnings = image.warnings
      return image
    }
    if PageGrid(sizeBytes: image.sizeBytes, pageSizeBytes: PageGrid.allowedPageSizes[0]) == nil {
      disk.refuse(
        "\(image.sizeBytes) bytes, 1 to \(PageGrid.maximumSizeBytes) are supported: take it out of the VM")
    }
    do throws(IOError) {
      disk.allocatedBytes = try allocatedBytes(of: image, disk.file)
      if request.hashesContent { disk.sha256 = "\(try hash(image, disk.file))" }
    } catch { disk.refuse("\(error)") }
    // Damage that was found on the way is among them, so they come last. What a parent has lost beneath the
    // data of its child is no problem for a pass.
    disk.warnings = image.warnings + (disk.problem == nil ? lost : [])
    return image
  }

  private static func inodes(of links: ArraySlice<VMDKLink>) -> Set<Inspection.Inode> {
    Set(
      links.flatMap(\.files).map { Inspection.Inode(device: $0.status.device, number: $0.status.inode) })
  }

  private func isExcluded(_ disk: Inspection.Disk) -> Bool {
    disk.diskUUID.map { request.excludedDisks.contains(.disk($0)) } ?? false
  }

  private func hash(_ image: VMDKImage, _ file: String) throws(IOError) -> Hash256 {
    try InspectionHash(disk: image) { done in
      report(.content, image, file, done)
    }.sha256()
  }

  private func report(
    _ step: InspectionRequest.Progress.Step, _ image: VMDKImage, _ file: String, _ done: Int64
  ) {
    progress(
      InspectionRequest.Progress(step: step, file: file, doneBytes: done, totalBytes: image.sizeBytes))
  }

  /// Walks every table once, so that damage in one is found before a pass finds it.
  private func allocatedBytes(of image: VMDKImage, _ file: String) throws(IOError) -> Int64 {
    var (sum, position): (Int64, Int64) = (0, 0)
    while let range = try image.allocatedRange(atOrAfter: position) {
      precondition(range.length > 0 && range.offset >= position, "an allocated range leads back")
      sum += range.length
      position = range.offset + range.length
      report(.tables, image, file, position)
    }
    return sum
  }

  /// - Parameter lost: what is wrong with its tables is added, a sentence.
  private static func link(_ link: VMDKLink, _ lost: inout [String]) -> Inspection.Link {
    var allocatedBytes: Int64?
    do throws(IOError) { allocatedBytes = try link.allocatedBytes() } catch {
      lost.append("\(error): no pass needs it now, but the disk without its newest snapshot would")
    }
    return Inspection.Link(
      path: link.path, createType: link.createType.rawValue, contentID: hex(link.contentID),
      parentContentID: link.parentContentID.map(hex), sizeBytes: link.sizeBytes,
      allocatedBytes: allocatedBytes,
      files: link.files.map {
        Inspection.File(
          path: $0.relativePath, role: $0.role.rawValue, sizeBytes: $0.status.sizeBytes,
          storedBytes: $0.status.allocatedBytes)
      })
  }

  private static func hex(_ contentID: UInt32) -> String {
    HexText.encode((0..<4).map { UInt8(truncatingIfNeeded: contentID >> UInt32(24 - 8 * $0)) })
  }
}
