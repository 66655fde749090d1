import ArgumentParser
import Glibc
import ReplModel
import ReplService

/// `config check`.
struct ConfigCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "config", abstract: "Work with the configuration.", subcommands: [Check.self])

  struct Check: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Check the configuration: every problem with line and column, 78 when there is one.")

    @OptionGroup var option: ConfigOption

    func run() throws {
      let config = try option.load()
      for vm in config.vms {
        guard let problem = Self.problem(vm.vmxPath) else { continue }
        Terminal.complain("warning: \(SafeText.printable(vm.vmxPath)): \(problem)\n")
      }
      print("\(option.config): fine: \(config.vms.count) VM(s), receiver \(config.receiver.address)")
    }

    /// Only what is there can be a VM; a datastore that is not mounted yet is no mistake in the file.
    private static func problem(_ path: String) -> String? {
      guard access(path, R_OK) != 0 else { return nil }
      let code = errno
      return "\(String(cString: strerror(code))): correct vmx, or mount the datastore before the first pass"
    }
  }
}
