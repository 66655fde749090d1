extension ReceiverConfig {
  /// Sentences about settings that cannot be had in full; `pointLimit` is how many points a standby has at
  /// the most. For `config check`: nothing is wrong with such a configuration.
  public func notes(pointLimit: Int) -> [String] {
    let given =
      [("retention", retention)]
      + vms.compactMap { vm in vm.retention.map { ("retention of \(vm.name)", $0) } }
    return given.flatMap { name, retention in retention.notes(name, pointLimit: pointLimit) }
  }
}

extension ReceiverConfig.Retention {
  /// How often a sender makes a point unless its configuration says otherwise.
  private static let usualIntervalSeconds: Double = 600

  fileprivate func notes(_ name: String, pointLimit: Int) -> [String] {
    var notes: [String] = []
    let reach = Double(pointLimit) * Self.usualIntervalSeconds
    if floorSeconds > reach {
      notes.append(
        "\(name): a VM has at most \(pointLimit) recovery points, which with a pass every "
          + "\(QuantityText.text(seconds: Self.usualIntervalSeconds)) reach back "
          + "\(QuantityText.text(seconds: (reach / 3600).rounded(.down) * 3600)): within a floor of "
          + "\(QuantityText.text(seconds: floorSeconds)) not every point stays, those closest to others in "
          + "time go")
    }
    let asked = last + hourly + daily + weekly
    if asked > pointLimit {
      notes.append(
        "\(name): it asks for up to \(asked) recovery points, and a VM has at most \(pointLimit): those "
          + "closest to others in time go")
    }
    return notes
  }
}
