/// The clones that a view is read from.
struct ViewClones: Sendable {
  /// One clone: of which file, and where.
  struct File: Sendable {
    let directory: String
    let name: String
    /// Index of the folder in the freeze's record.
    let folder: Int
    let cloneName: String
  }

  let files: [File]
  /// What they would take if they shared nothing.
  let allocatedBytes: Int64

  /// Whether they may be kept beside a guest that writes on: it gets along with a tenth of its files.
  static func leaveRoom(freeBytes: Int64, allocatedBytes: Int64) -> Bool {
    freeBytes >= allocatedBytes / 10
  }
}
