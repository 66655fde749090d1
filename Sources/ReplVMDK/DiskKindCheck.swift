import ReplModel

/// Whether a descriptor speaks of a disk that is read here, before any of its extents is touched.
struct DiskKindCheck {
  let descriptor: VMDKDescriptor
  let path: String

  /// The kind that all of the disk's extents have.
  func extentKind() throws(VMDKError) -> VMDKExtentLine.Kind {
    guard !descriptor.isEncrypted else {
      throw VMDKError(
        .encrypted, path,
        "the disk is encrypted: its data would be useless without the keys: decrypt it, or exclude it")
    }
    let kind = try readableKind()
    try checkParent()
    guard !descriptor.extents.isEmpty else {
      throw VMDKError(.noExtents, path, "there is no extent line: the descriptor is damaged or incomplete")
    }
    for extent in descriptor.extents { try check(extent, kind) }
    return kind
  }

  private func readableKind() throws(VMDKError) -> VMDKExtentLine.Kind {
    switch descriptor.createType.reading {
    case .extents(let kind): return kind
    case .refused(let sentence):
      throw VMDKError(.unsupportedCreateType, path, "\(descriptor.createType.rawValue): \(sentence)")
    }
  }

  private func checkParent() throws(VMDKError) {
    let hint = descriptor.parentFileNameHint.map { SafeText.printable($0, limit: 128) }
    switch (descriptor.parentContentID, hint) {
    case (nil, nil): return
    case (_?, let hint?):
      throw VMDKError(
        .hasParent, path, "the disk is a snapshot's delta over \"\(hint)\": delete (consolidate) the snapshot"
      )
    case (_?, nil):
      throw VMDKError(
        .parentContradiction, path,
        "parentCID names a parent, but no parentFileNameHint does: the descriptor is damaged")
    case (nil, let hint?):
      throw VMDKError(
        .parentContradiction, path,
        "parentFileNameHint names \"\(hint)\", but parentCID says there is no parent: the descriptor is"
          + " damaged"
      )
    }
  }

  private func check(_ extent: VMDKExtentLine, _ kind: VMDKExtentLine.Kind) throws(VMDKError) {
    guard extent.kind == kind else {
      throw VMDKError(
        .contradictoryExtents, path, .line(extent.line),
        "a \(extent.kind.rawValue) extent in a \(descriptor.createType.rawValue) disk (\(kind.rawValue) is"
          + " expected):"
          + " the descriptor is damaged")
    }
    guard extent.access != .none else {
      throw VMDKError(
        .noAccess, path, .line(extent.line), "the extent is NOACCESS: its data must not be read")
    }
    guard !extent.namesDevice else {
      throw VMDKError(
        .unsupportedCreateType, path, .line(extent.line),
        "the extent stands for a device or partition: exclude the disk")
    }
  }
}
