import ReplModel

/// Whether a descriptor speaks of a disk that is read here, before any of its extents is touched.
struct DiskKindCheck {
  let descriptor: VMDKDescriptor
  let path: String
  /// Names of extents that a device of this machine stands for.
  let deviceNames: Set<String>

  func check() throws(VMDKError) {
    guard !descriptor.isEncrypted else {
      throw VMDKError(
        .encrypted, path,
        "the disk is encrypted: its data would be useless without the keys: decrypt it, or exclude it")
    }
    if case .refused(let sentence) = descriptor.createType.reading { throw refused(sentence, nil) }
    try checkParent()
    guard !descriptor.extents.isEmpty else {
      throw VMDKError(.noExtents, path, "there is no extent line: the descriptor is damaged or incomplete")
    }
    for extent in descriptor.extents { try check(extent) }
  }

  private func refused(_ sentence: String, _ line: Int?) -> VMDKError {
    VMDKError(
      .unsupportedCreateType, path, line.map { .line($0) },
      "\(descriptor.createType.rawValue): \(sentence)")
  }

  private func checkParent() throws(VMDKError) {
    let hint = descriptor.parentFileNameHint.map { SafeText.printable($0, limit: 128) }
    switch (descriptor.parentContentID, hint) {
    case (nil, nil), (_?, _?): return
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

  private func check(_ extent: VMDKExtentLine) throws(VMDKError) {
    let expected = descriptor.createType.extentKinds
    guard expected.contains(extent.kind) else {
      let names = expected.map(\.rawValue).joined(separator: ", ")
      throw VMDKError(
        .contradictoryExtents, path, .line(extent.line),
        "a \(extent.kind.rawValue) extent in a \(descriptor.createType.rawValue) disk (\(names) is"
          + " expected): the descriptor is damaged")
    }
    guard extent.access != .none || extent.kind == .zero else {
      throw VMDKError(
        .noAccess, path, .line(extent.line),
        "the extent is NOACCESS: its data must not be read, so the disk cannot be copied: exclude it")
    }
    try checkDevice(extent)
  }

  private func checkDevice(_ extent: VMDKExtentLine) throws(VMDKError) {
    guard !deviceNames.contains(extent.fileName ?? ""), descriptor.createType.isDevice(extent) else { return }
    if case .devices(let sentence) = descriptor.createType.reading { throw refused(sentence, extent.line) }
    throw VMDKError(
      .unsupportedCreateType, path, .line(extent.line),
      "the extent stands for a device or partition: exclude the disk, or name the device in the settings")
  }
}
