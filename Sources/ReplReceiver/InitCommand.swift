import ArgumentParser
import ReplIO
import ReplModel
import ReplService
import ReplStandby
import ReplTLS

/// Makes the key and the certificate of this installation, and marks folders as stores.
struct InitCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "init",
    abstract: "Make this installation's key and certificate, mark stores, and print the fingerprint.",
    discussion: "Run it again to mark more stores: a key that is there is kept.")

  @OptionGroup var state: StateOption

  @Option(
    name: .long,
    help:
      "A folder to mark as a store. Nothing is made in one without the mark: it may be an empty mount point."
  )
  var store: [String] = []

  func run() throws {
    let path = try state.path()
    do {
      let directory = try StateDirectory.open(path: path)
      let identity = try makeIdentity(in: directory)
      for folder in store {
        let id = try StandbyStore.initialize(root: try Self.open(store: folder), time: SystemTime())
        print("\(folder) is a store (\(id))")
      }
      print("fingerprint: \(identity.fingerprint)")
      print("put it into the sender's configuration: receiver: {address: ..., fingerprint: ...}")
    } catch let error as ArgumentParser.ExitCode {
      throw error
    } catch let error as StateDirectoryError {
      throw Failure.exit(error.exitCode, "\(error)")
    } catch { throw Failure.exit(.cannotCreate, "\(error)") }
  }

  /// A store is never made here: a path that is not there may be a mount that is missing.
  private static func open(store path: String) throws -> PosixDirectory {
    do throws(IOError) { return try PosixDirectory(path: path) } catch {
      guard error.isMissing else { throw error }
      throw Failure.exit(
        .cannotCreate,
        "\(SafeText.printable(path)): there is no such folder: mount it, or make it, and run this again")
    }
  }

  private func makeIdentity(in state: StateDirectory) throws -> TLSIdentity {
    let path = "\(state.directory.path)/identity"
    if !store.isEmpty, try state.directory.contains("identity") { return try TLSIdentity.load(in: path) }
    let identity = try TLSIdentity.create(in: path, name: "repl-receiver")
    print("made a key in \(path)")
    return identity
  }
}

/// Prints the fingerprint and nothing else.
struct FingerprintCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "fingerprint", abstract: "Print this installation's fingerprint.")

  @OptionGroup var state: StateOption

  func run() throws {
    do {
      let directory = try StateDirectory.open(path: try state.path())
      print(try TLSIdentity.load(in: "\(directory.directory.path)/identity").fingerprint)
    } catch let error as StateDirectoryError {
      throw Failure.exit(error.exitCode, "\(error)")
    } catch let error as TLSError {
      throw Failure.exit(.config, "\(error)")
    }
  }
}
