import ReplIO

/// The directories of one standby.
struct StandbyHome: Sendable {
  /// Of `directory` in the store.
  let name: String
  let directory: any StorageDirectory
  let privateDirectory: any StorageDirectory
  let journals: any StorageDirectory
  let points: any StorageDirectory
  let sources: SourceFiles

  /// Makes the directories that are missing; all of them are durable when this returns.
  static func create(_ name: String, in root: any StorageDirectory) throws(IOError) -> StandbyHome {
    let directory = try root.createDirectory(name)
    let hidden = try directory.createDirectory(StandbyLayout.privateDirectory)
    let journals = try hidden.createDirectory(StandbyLayout.journalDirectory)
    let points = try hidden.createDirectory(StandbyLayout.pointsDirectory)
    let files = try hidden.createDirectory(StandbyLayout.filesDirectory)
    try hidden.sync()
    try directory.sync()
    try root.sync()
    return StandbyHome(
      name: name, directory: directory, privateDirectory: hidden, journals: journals, points: points,
      sources: SourceFiles(directory: files, privateDirectory: hidden))
  }

  static func open(_ name: String, in root: any StorageDirectory) throws(IOError) -> StandbyHome {
    let directory = try root.openDirectory(name)
    let hidden = try directory.openDirectory(StandbyLayout.privateDirectory)
    let files = try openFiles(in: hidden)
    return StandbyHome(
      name: name, directory: directory, privateDirectory: hidden,
      journals: try hidden.openDirectory(StandbyLayout.journalDirectory),
      points: try hidden.openDirectory(StandbyLayout.pointsDirectory),
      sources: SourceFiles(directory: files, privateDirectory: hidden))
  }

  /// Standbys of format 1 have no such directory yet.
  private static func openFiles(in hidden: any StorageDirectory) throws(IOError) -> any StorageDirectory {
    let name = StandbyLayout.filesDirectory
    if try hidden.contains(name) { return try hidden.openDirectory(name) }
    let files = try hidden.createDirectory(name)
    try hidden.sync()
    return files
  }
}
