/// The limits of this module and why they are what they are.
public enum ServiceLimits {
  /// A configuration of 10,000 VMs with every option set is about 2 MB; real ones are a few KB. More is a
  /// mistake.
  public static let configBytes = 1 << 20
  /// The schema is 4 levels deep.
  public static let configDepth = 16
  /// Twenty values for each VM of the largest configuration.
  public static let configNodes = 200_000
  /// The scheduler is tested with 2,000 VMs.
  public static let configVMs = 10_000
  /// A folder is a datastore; nobody has more.
  public static let configFolders = 256
  /// Patterns of one folder; every VMX is compared with all of them once a minute.
  public static let configPatterns = 256
  /// A mapping is a datastore or a drive.
  public static let configPathMappings = 256
  /// VMware's limit of disks in one VM is 256.
  public static let configDisks = 256
  /// Names, labels, suffixes: what fits into one line of a terminal or a form.
  public static let configTextBytes = 1024
  /// Linux: PATH_MAX.
  public static let pathBytes = 4096
  /// Longer lists of problems are not read by anyone.
  public static let configProblems = 50
  /// More than any honest document has by accident; above it aliases could multiply into a bomb before they
  /// are seen.
  public static let aliasCandidates = 16
  /// Arguments of one command.
  public static let commandArguments = 64

  /// One value of a log line; longer ones are cut.
  public static let logValueCharacters = 1024
  /// One log line in bytes. Below the 48 KiB at which journald splits lines.
  public static let logLineBytes = 16 << 10

  /// HTTP request line and headers together.
  public static let httpRequestBytes = 8 << 10
  /// Open connections to the status server: a scraper, a few people, and room.
  public static let httpConnections = 32
  /// From accept to the last byte of the answer.
  public static let httpDeadlineSeconds: Int64 = 5
  /// Connections that wait to be accepted.
  public static let httpBacklog: Int32 = 16

  /// Some 2.6 kB a VM, of which a configuration may have 10,000.
  public static let statusBytes = 64 << 20
  /// A daemon on the same machine answers in milliseconds; with 10,000 VMs in a second or two. Less than what
  /// the daemon gives one connection.
  public static let statusDeadlineSeconds: Int64 = 4

  /// Time series are bounded by the VMs of the configuration, and by this: about 6 MB of text.
  public static let metricVMs = 2048
  /// A label value, in characters; longer names are cut.
  public static let metricLabelCharacters = 128

  /// systemd keeps one line of status.
  public static let notifyStatusCharacters = 256
}
