import ReplIO

/// A file that a disk is read from.
public struct VMDKFile: Sendable {
  /// What the file is to the disk.
  public enum Role: String, Sendable {
    /// The text alone.
    case descriptor
    /// Raw bytes of the disk.
    case flat
    /// Grains, tables and, in a monolithic disk, the descriptor.
    case sparse
    /// A block device of this machine.
    case device
  }

  /// The root that holds it, and its name beneath that.
  public let place: DiskFileName
  /// Beneath the VM's folder; the absolute path for files outside of it.
  public let relativePath: String
  public let role: Role
  private let source: DiskFile

  init(_ source: DiskFile, _ role: Role) {
    self.source = source
    self.role = role
    place = source.place
    relativePath = source.path
  }

  /// What was known of the file when the disk was opened.
  public var status: FileStatus { source.status }

  /// The file that was opened with the disk, for what is known of it without reading (size, times, locks) and
  /// for cloning it. An image keeps a limited number of files open, so that this may open it again; a file
  /// that was replaced since is an error.
  public var file: PosixFile { get throws(IOError) { try source.opened() } }

  /// Opens the file again by its name: what is there now.
  public func reopened() throws(IOError) -> PosixFile { try source.reopened() }
}
