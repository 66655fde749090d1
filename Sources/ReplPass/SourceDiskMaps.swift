import ReplDigest
import ReplIO
import ReplModel
import ReplProtocol

/// The maps of one disk at the sender: the base (the newest point that this side knows) and the tentative
/// delta of the pass that is under way.
struct SourceDiskMaps: Sendable {
  let base: DigestMap
  let delta: DigestDelta
  private let directory: any StorageDirectory
  private let disk: DiskID

  /// Opens the base map; what is missing, damaged or of another key begins empty and is learned from the
  /// receiver. A tentative delta of an earlier pass is adopted when `newest` names that pass, and dropped
  /// when it does not. The map of a disk that grew since is widened after that, as the receiver widens its
  /// own: nothing of it has to be learned again.
  static func open(
    _ format: DigestMapFormat, in directory: any StorageDirectory, newest: Accept.Newest?
  ) throws(PassError) -> SourceDiskMaps {
    do throws(DigestError) {
      var base = try openBase(format, in: directory)
      let name = "\(format.disk).delta"
      let sealed = try openSealed(name, in: directory, over: base)
      if let sealed, let newest, sealed.sealedPass == newest.pass {
        try sealed.merge(as: newest.reference)
      } else if case .at = base.state {
        try sealed?.discard()
      } else {
        // Half of a merge that the receiver knows nothing of: only the receiver's own map can be trusted.
        base = try createEmpty(format, in: directory)
      }
      try removeLeftovers(of: format.disk, in: directory)
      if base.format != format { base = try widen(base, to: format, in: directory) }
      let delta = try DigestDelta.create(name, in: directory, over: base)
      return SourceDiskMaps(base: base, delta: delta, directory: directory, disk: format.disk)
    } catch { throw .digest(error) }
  }

  /// A damaged delta is as good as none: what it held is learned from the receiver again.
  private static func openSealed(
    _ name: String, in directory: any StorageDirectory, over base: DigestMap
  ) throws(DigestError) -> DigestDelta? {
    do throws(DigestError) {
      return try DigestDelta.openSealed(name, in: directory, over: base)
    } catch {
      guard error.code == .damaged else { throw error }
      return nil
    }
  }

  /// In the format that it has when that one can be widened.
  private static func openBase(
    _ format: DigestMapFormat, in directory: any StorageDirectory
  ) throws(DigestError) -> DigestMap {
    do throws(DigestError) {
      let held = try DigestMap.format(of: fileName(format), in: directory) ?? format
      let map = try DigestMap.open(
        fileName(format), in: directory, format: held.canWiden(to: format) ? held : format)
      if map.state != .working { return map }
    } catch {
      guard [.missing, .damaged, .foreign].contains(error.code) else { throw error }
    }
    return try createEmpty(format, in: directory)
  }

  /// The map of a disk that is all zero: what is known of a receiver that nothing is known of.
  private static func createEmpty(
    _ format: DigestMapFormat, in directory: any StorageDirectory
  ) throws(DigestError) -> DigestMap {
    let map = try DigestMap.create(fileName(format), in: directory, format: format)
    let before = PointReference(epoch: Epoch(0), number: 0)
    _ = try map.finish(at: before, pass: PassID(high: 0, low: 0))
    return map
  }

  /// Makes the map one of the larger disk. Cut off, the narrow map is there and is widened again.
  private static func widen(
    _ base: DigestMap, to format: DigestMapFormat, in directory: any StorageDirectory
  ) throws(DigestError) -> DigestMap {
    let wide = "\(format.disk).wide"
    _ = try base.widened(to: format.grid, as: wide, in: directory)
    do throws(IOError) {
      try directory.rename(wide, to: fileName(format))
      try directory.sync()
    } catch { throw DigestError(.storage, error.path, error.description, cause: error) }
    return try DigestMap.open(fileName(format), in: directory, format: format)
  }

  /// An overlay serves one connection, a wider map that did not get the map's name nobody.
  private static func removeLeftovers(
    of disk: DiskID, in directory: any StorageDirectory
  ) throws(DigestError) {
    do throws(IOError) {
      for name in ["\(disk).held", "\(disk).wide"] where try directory.contains(name) {
        try directory.removeFile(name)
      }
    } catch { throw DigestError(.storage, error.path, error.description, cause: error) }
  }

  private static func fileName(_ format: DigestMapFormat) -> String { "\(format.disk).map" }

  /// An overlay over the base for what the receiver holds.
  func makeHeldOverlay() throws(PassError) -> DigestDelta {
    do throws(DigestError) {
      return try DigestDelta.create("\(disk).held", in: directory, over: base)
    } catch { throw .digest(error) }
  }
}
