/// The keys of `retention`.
extension ReceiverConfigSchema {
  static let retentionKeys = ["last", "hourly", "daily", "weekly", "floor", "budget"]

  /// What is not given is as in `ReceiverConfig.Retention.standard`.
  func retention(_ node: ConfigNode) -> ReceiverConfig.Retention? {
    guard
      let scope = reader.mapping(
        node, keys: Self.retentionKeys, hint: "a mapping of keys such as last, hourly and daily")
    else { return nil }
    let standard = ReceiverConfig.Retention.standard
    func count(_ key: String, _ range: ClosedRange<Int>, _ fallback: Int) -> Int? {
      scope.optional(key).map { reader.integer($0, in: range) } ?? fallback
    }
    let last = count("last", 1...500, standard.last)
    let hourly = count("hourly", 0...500, standard.hourly)
    let daily = count("daily", 0...500, standard.daily)
    let weekly = count("weekly", 0...500, standard.weekly)
    let floor =
      scope.optional("floor").map { reader.seconds($0, in: 0...(366 * 86_400)) } ?? standard.floorSeconds
    let budgetNode = scope.optional("budget")
    let budget = budgetNode.flatMap { reader.bytes($0, in: (1 << 20)...(1 << 50)) }
    guard let last, let hourly, let daily, let weekly, let floor, budgetNode == nil || budget != nil else {
      return nil
    }
    return ReceiverConfig.Retention(
      last: last, hourly: hourly, daily: daily, weekly: weekly, floorSeconds: floor, budgetBytes: budget)
  }
}
