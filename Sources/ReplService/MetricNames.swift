/// Every metric of the project: name, type, help. Base units; moments instead of ages, so that lag keeps
/// rising while a daemon hangs.
struct MetricName: Hashable, Sendable {
  enum Kind: String, Sendable {
    case gauge, counter
  }

  let name: String
  let kind: Kind
  let help: String

  static let buildInfo = gauge("build_info", "Always 1; labels tell version and role.")
  static let processStart = gauge("process_start_time_seconds", "When the daemon started, Unix time.")
  static let vmCount = gauge("vms", "VMs that this daemon replicates or keeps.")
  static let foundCount = gauge(
    "vms_found_not_protected", "VMs in watched folders for which no pass runs.")
  static let warnings = gauge(
    "warnings", "What keeps the daemon from seeing everything, such as a folder that cannot be read.")
  static let vmState = gauge("vm_state", "1 for the state that the VM is in, 0 for the others.")
  static let recoveryPoint = gauge(
    "recovery_point_timestamp_seconds",
    "When the newest recovery point was frozen, Unix time; absent before the first.")
  static let fuzzyPoint = gauge(
    "fuzzy_point_timestamp_seconds",
    "When a newer, fuzzy recovery point was frozen, Unix time; absent where there is none.")
  static let pointCount = gauge("recovery_points", "Recovery points that are kept of the VM.")
  static let oldestPoint = gauge(
    "oldest_recovery_point_timestamp_seconds",
    "When the oldest kept recovery point was frozen, Unix time; absent before the first.")
  static let objective = gauge("rpo_seconds", "The lag above which the VM is late.")
  static let rpoForecast = gauge(
    "rpo_forecast", "1 for what the sender expects of the objective, 0 for the others.")
  static let breachExpected = gauge(
    "rpo_breach_expected_timestamp_seconds",
    "When the objective will be missed, or was, Unix time; absent while it is not expected to be.")
  static let commitExpected = gauge(
    "pass_commit_expected_timestamp_seconds",
    "When the next recovery point is expected, Unix time; absent while that is not known.")
  static let stageSeconds = counter(
    "stage_seconds_total",
    "Seconds of committed passes by stage, since the start: threads at work, or the writer waiting for it.")
  static let committed = counter(
    "passes_committed_total", "Passes that became a recovery point, since the start.")
  static let failed = counter("passes_failed_total", "Passes that failed, since the start.")
  static let passStart = gauge(
    "last_pass_start_timestamp_seconds", "When the last committed pass began, Unix time.")
  static let passDuration = gauge("last_pass_duration_seconds", "How long the last committed pass took.")
  static let passRead = gauge(
    "last_pass_read_bytes", "Bytes of source disk that the last committed pass read.")
  static let passChanged = gauge(
    "last_pass_changed_bytes", "Bytes that the last committed pass found changed.")
  static let passWire = gauge(
    "last_pass_wire_bytes", "Bytes on the wire for the last committed pass, TLS included.")
  static let runningDone = gauge(
    "running_pass_done_bytes", "Bytes of disk that the running pass has dealt with.")
  static let runningTotal = gauge(
    "running_pass_size_bytes", "Bytes of disk that the running pass has to deal with.")
  static let clockSkew = gauge(
    "clock_skew_seconds",
    "The other side's clock minus this one's, as the last connection of the VM measured it.")
  static let freezeHold = gauge(
    "last_freeze_hold_seconds", "How long the last view of the VM was held, from freeze to release.")
  static let guestHold = gauge(
    "last_freeze_guest_hold_seconds",
    "How long the guest stood still in the last freeze, from hook to hook; absent without hooks.")
  static let cloneSeconds = gauge(
    "last_freeze_clone_seconds",
    "How long the files of the VM were being cloned in the last freeze; absent without clones.")
  static let hintedDisks = gauge(
    "hinted_disks", "Disks that the last pass read only where a change hint said; absent without hints.")
  static let hintChanged = gauge(
    "hint_changed_bytes", "Bytes that may have changed before the last pass, as its change hints said.")
  static let hintAudited = gauge(
    "hint_audited_bytes", "Bytes that the last pass read only to check its change hints.")
  static let hintContradictions = counter(
    "hint_contradictions_total", "How often a change hint, or a hole of the storage, was found wrong.")
  static let hintKept = gauge(
    "hint_clones_kept_timestamp_seconds",
    "Since when clones are kept for the next pass, Unix time; absent where none are.")
  static let leftovers = gauge(
    "freeze_leftovers", "1 while something that a broken-off freeze left could not be removed, else 0.")
  static let seedingDisks = gauge(
    "seeding_disks", "Disks that were added to the VM and are not part of its points yet.")
  static let suspectPages = gauge(
    "suspect_pages",
    "Pages of the standby that were found not to be what replication wrote; at least 1 while it is suspect, "
      + "else 0.")
  static let divergedSince = gauge(
    "diverged_timestamp_seconds",
    "When it was found that somebody else wrote the standby, Unix time; absent while nobody did.")
  static let verifiedAt = gauge(
    "last_verify_timestamp_seconds",
    "When a part of the standby was last read again and compared, Unix time; absent before the first time.")
  static let verifiedWhole = gauge(
    "last_whole_verify_timestamp_seconds",
    "When the last round over all of the standby was complete, Unix time; absent before the first.")
  static let verifyDone = gauge(
    "verify_round_done_bytes", "Bytes of disk that the running round of verifying has dealt with.")
  static let bandwidthLimit = gauge(
    "bandwidth_limit_bytes_per_second",
    "Bytes that may be sent a second by all passes together, by the schedule as it is now; absent without a "
      + "limit.")
  static let wireSent = counter(
    "wire_sent_bytes_total", "Bytes sent to the receiver by all passes, TLS included, since the start.")
  static let vmBandwidthLimit = gauge(
    "vm_bandwidth_limit_bytes_per_second",
    "Bytes that passes of the VM may send a second, by its schedule as it is now; absent without a limit of "
      + "its own.")
  static let vmWireSent = counter(
    "vm_wire_sent_bytes_total",
    "Bytes sent to the receiver by passes of the VM, TLS included, since the start.")
  static let failure = gauge("last_failure_timestamp_seconds", "When a pass last failed, Unix time.")

  private static func gauge(_ name: String, _ help: String) -> MetricName {
    MetricName(name: "vmrepl_\(name)", kind: .gauge, help: help)
  }

  private static func counter(_ name: String, _ help: String) -> MetricName {
    MetricName(name: "vmrepl_\(name)", kind: .counter, help: help)
  }
}
