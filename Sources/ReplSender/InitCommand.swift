import ArgumentParser
import ReplService
import ReplTLS

/// Makes the key and the certificate of this installation.
struct InitCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "init", abstract: "Make this installation's key and certificate, and print its fingerprint.")

  @OptionGroup var state: StateOption

  func run() throws {
    let path = try state.path()
    do {
      let directory = try StateDirectory.open(path: path)
      let identity = try TLSIdentity.create(in: "\(directory.directory.path)/identity", name: "repl-sender")
      print("made a key in \(directory.directory.path)/identity")
      print("fingerprint: \(identity.fingerprint)")
      print("put it into the receiver's configuration: peers: [{name: ..., fingerprint: ...}]")
    } catch let error as StateDirectoryError {
      throw Failure.exit(error.exitCode, "\(error)")
    } catch let error as TLSError {
      throw Failure.exit(.cannotCreate, "\(error)")
    }
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
