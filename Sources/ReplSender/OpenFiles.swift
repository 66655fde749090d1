import Glibc

/// How many files this process may have open.
enum OpenFiles {
  /// To what the system allows: the view of a VM with split disks holds a file for each piece.
  static func raiseLimit() {
    var limit = rlimit()
    let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
    guard getrlimit(resource, &limit) == 0, limit.rlim_cur < limit.rlim_max else { return }
    limit.rlim_cur = limit.rlim_max
    // Where it is refused the old limit holds, and the error of an open names it.
    _ = setrlimit(resource, &limit)
  }
}
