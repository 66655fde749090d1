import ReplIO

/// The directories of one standby.
struct StandbyHome: Sendable {
  /// Of `directory` in the store.
  let name: String
  let directory: any StorageDirectory
  let privateDirectory: any StorageDirectory
  let journals: any StorageDirectory
  let points: any StorageDirectory

  /// Makes the directories that are missing; all of them are durable when this returns.
  static func create(_ name: String, in root: any StorageDirectory) throws(IOError) -> StandbyHome {
    let directory = try root.createDirectory(name)
    let hidden = try directory.createDirectory(StandbyLayout.privateDirectory)
    let journals = try hidden.createDirectory(StandbyLayout.journalDirectory)
    let points = try hidden.createDirectory(StandbyLayout.pointsDirectory)
    try hidden.sync()
    try directory.sync()
    try root.sync()
    return StandbyHome(
      name: name, directory: directory, privateDirectory: hidden, journals: journals, points: points)
  }

  static func open(_ name: String, in root: any StorageDirectory) throws(IOError) -> StandbyHome {
    let directory = try root.openDirectory(name)
    let hidden = try directory.openDirectory(StandbyLayout.privateDirectory)
    return StandbyHome(
      name: name, directory: directory, privateDirectory: hidden,
      journals: try hidden.openDirectory(StandbyLayout.journalDirectory),
      points: try hidden.openDirectory(StandbyLayout.pointsDirectory))
  }
}
