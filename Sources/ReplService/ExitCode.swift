/// What a process says when it ends, after sysexits.h. An API: scripts and units test these numbers.
public enum ExitCode: Int32, Sendable, CaseIterable {
  case success = 0
  /// It ran, and the answer is no: a pass failed, a check found something, a VM is late.
  case failed = 1
  case usage = 64
  case badData = 65
  case peerUnavailable = 69
  case cannotCreate = 73
  case inputOutput = 74
  case temporary = 75
  case refused = 77
  case config = 78

  /// For `--help`.
  public var meaning: String {
    switch self {
    case .success: "done"
    case .failed: "a pass or a check failed"
    case .usage: "the command line is wrong"
    case .badData: "a file or an answer is damaged or not what it should be"
    case .peerUnavailable: "the other side, or the daemon here, cannot be reached"
    case .cannotCreate: "a file or directory cannot be made"
    case .inputOutput: "reading or writing failed"
    case .temporary: "another instance is running, or an address cannot be listened on yet; try again later"
    case .refused: "refused: the VM is fenced, or permission is missing"
    case .config: "the configuration is wrong; a restart does not help"
    }
  }

  /// All codes, a line each, for `--help`.
  public static var helpText: String {
    allCases.map { code in
      let number = "\(code.rawValue)"
      return String(repeating: " ", count: 4 - number.count) + "\(number)  \(code.meaning)"
    }.joined(separator: "\n")
  }
}
