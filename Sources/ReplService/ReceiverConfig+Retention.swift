import ReplModel

extension ReceiverConfig {
  /// How many recovery points a VM keeps. The receiver's alone: ages are those of commits by this machine's
  /// clock.
  public struct Retention: Sendable, Hashable {
    /// The newest points, whatever their age.
    public var last: Int
    /// The first point of each of so many hours, days and weeks.
    public var hourly: Int
    public var daily: Int
    public var weekly: Int
    /// Every point younger than this is kept, whatever budget and space say.
    public var floorSeconds: Double
    /// Bytes that the way back to all older points of one VM may take; nil: no budget.
    public var budgetBytes: Int64?

    /// An hour of every point, then a day by hours, a week by days, a month by weeks.
    public static let standard = Retention(
      last: 4, hourly: 24, daily: 7, weekly: 4, floorSeconds: 3600, budgetBytes: nil)
  }

  /// What is given for the VM by its UUID or name, else what is given for all.
  public func retention(of vm: VMID, called name: String, from peer: String) -> Retention {
    special(vm, called: name, of: peer)?.retention ?? retention
  }
}
