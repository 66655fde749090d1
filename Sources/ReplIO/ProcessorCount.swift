import Glibc

/// What the machine has to compute with.
public enum ProcessorCount {
  /// Processors that are online, whether or not this process may use all of them; 1 or more. Asked for once.
  public static let online = max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN)))
}
