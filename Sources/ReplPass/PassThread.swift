import ReplIO

extension NamedThread {
  /// A thread of a pass, which ends with an error where the system has none left.
  static func ofPass(
    _ name: String, _ work: @escaping @Sendable () -> Void
  ) throws(PassError) -> NamedThread {
    do throws(IOError) { return try tryStart(name, work) } catch { throw .io(error) }
  }
}
