import ReplIO
import ReplModel

extension VMDKImage {
  /// Opens a disk, with all of its chain, for reading.
  /// - Parameters:
  ///   - name: the descriptor, or the image that embeds one: beneath `folder`, or as a VMX names it
  ///     (absolute names go through `opening`'s mappings).
  ///   - folder: the VM's folder; nothing outside of it and of the mapped directories is opened, and no
  ///     symbolic link is followed.
  ///   - opening: how names become files.
  /// - Throws: `VMDKError` for what cannot be read, and for everything about which readers could differ. The
  ///   descriptors of the whole chain are read and judged before any extent is opened. Tables of sparse
  ///   images are read when they are needed: what is wrong in them is an `IOError` of kind `.damaged` then.
  public static func open(
    _ name: String, in folder: PosixDirectory, _ opening: DiskOpening = DiskOpening()
  ) throws(VMDKError) -> VMDKImage {
    let files = DiskFiles(folder: folder, opening: opening)
    let chain = try ChainOpener(files: files, deviceNames: Set(opening.devices.map(\.name))).chain(from: name)
    var disk = OpenedDisk()
    var claims = FileClaims()
    for (index, source) in chain.enumerated() {
      var opener = LinkOpener(source, files: files, context: disk.context)
      disk.links.append(try opener.open(&claims))
      disk.warnings += opener.warnings
      // A parent is not written any more, whatever a crash left in its header.
      if index == 0 { disk.isMarkedInUse = opener.isMarkedInUse }
    }
    try claims.check()
    let kept = KeptFacts(ofChain: chain.map(\.descriptor.diskDataBase))
    disk.facts = kept.facts
    disk.warnings += kept.warnings
    return VMDKImage(disk)
  }
}

/// What opening found.
struct OpenedDisk {
  /// Shared by all extents: what is kept of their tables is bounded for the image.
  let context = ExtentContext()
  var links: [VMDKLink] = []
  var facts = DiskFacts(entries: [])
  var warnings: [String] = []
  var isMarkedInUse = false
}
