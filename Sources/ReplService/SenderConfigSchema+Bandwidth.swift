import ReplModel

/// `bandwidth`: of the daemon, of a VM, of each VM in a folder.
extension SenderConfigSchema {
  private static let bandwidthKeys = ["limit", "schedule"]
  private static let bandwidthWindowKeys = ["days", "window", "limit"]
  /// Below 64 KiB/s the smallest piece of every connection, of which there may be 32, does not leave within
  /// the time after which a receiver calls a connection idle, with room to spare; above 100 GiB/s nothing is
  /// limited.
  static let rates: ClosedRange<Int64> = (64 << 10)...(100 << 30)
  private static let windowCounts = 1...64

  /// A mapping with limit and schedule, or just the limit.
  func bandwidth(_ node: ConfigNode) -> BandwidthPlan? {
    if case .scalar = node.content {
      return bandwidthLimit(node).map { BandwidthPlan(bytesPerSecond: $0) }
    }
    guard
      let scope = reader.mapping(
        node, keys: Self.bandwidthKeys, hint: "a rate such as 50MB/s, or a mapping with limit")
    else { return nil }
    if scope.entries.isEmpty { reader.problem(node, "is empty; give limit, schedule or both") }
    let limit = scope.optional("limit").map(bandwidthLimit) ?? .some(nil)
    let windows = scope.optional("schedule").map(bandwidthWindows) ?? []
    guard let limit, let windows, !scope.entries.isEmpty else { return nil }
    return BandwidthPlan(bytesPerSecond: limit, windows: windows)
  }

  private func bandwidthWindows(_ node: ConfigNode) -> [BandwidthPlan.Window]? {
    guard let items = reader.list(node, count: Self.windowCounts, of: "windows") else { return nil }
    let windows = items.compactMap(bandwidthWindow)
    return windows.count == items.count ? windows : nil
  }

  private func bandwidthWindow(_ node: ConfigNode) -> BandwidthPlan.Window? {
    guard
      let scope = reader.mapping(
        node, keys: Self.bandwidthWindowKeys, hint: "a mapping with days, window and limit")
    else { return nil }
    let days = scope.optional("days").map(weekdays) ?? Set(Weekday.allCases)
    let time = scope.optional("window").map(reader.dailyWindow) ?? DailyWindow(startMinute: 0, endMinute: 0)
    let limit = scope.required("limit", "limit: 5MB/s").map(bandwidthLimit) ?? nil
    guard let days, let time, let limit else { return nil }
    return BandwidthPlan.Window(days: days, time: time, bytesPerSecond: limit)
  }

  /// Outer nil: a problem was noted. Inner nil: no limit.
  private func bandwidthLimit(_ node: ConfigNode) -> Int64?? {
    guard let text = reader.text(node) else { return nil }
    if text == "unlimited" { return .some(nil) }
    let shown = SafeText.printable(text, limit: 64)
    let (low, high) = ("64KiB/s", "100GiB/s")
    guard let bytes = QuantityText.rate(text) ?? (text == "0" || text == "off" ? 0 : nil) else {
      reader.problem(node, "expected a rate such as 50MB/s, 100Mbit/s or unlimited, found \"\(shown)\"")
      return nil
    }
    guard bytes >= Self.rates.lowerBound else {
      reader.problem(
        node,
        "is \(shown), allowed are \(low) to \(high): with less, connections would be taken for dead; "
          + "replication does not pause by the clock")
      return nil
    }
    guard bytes <= Self.rates.upperBound else {
      reader.problem(node, "is \(shown), allowed are \(low) to \(high), or unlimited")
      return nil
    }
    return bytes
  }

  /// A day, some days in a row, or a list of both.
  private func weekdays(_ node: ConfigNode) -> Set<Weekday>? {
    var nodes = [node]
    if case .list = node.content {
      guard let items = reader.list(node, count: 1...7, of: "days") else { return nil }
      nodes = items
    }
    var days: Set<Weekday> = []
    var isWhole = true
    for item in nodes {
      guard let text = reader.text(item) else {
        isWhole = false
        continue
      }
      guard let named = text == "daily" ? Set(Weekday.allCases) : Weekday.days(text.lowercased()) else {
        reader.problem(
          item,
          "expected days such as mon, mon-fri, [sat, sun] or daily, found "
            + "\"\(SafeText.printable(text, limit: 64))\""
        )
        isWhole = false
        continue
      }
      days.formUnion(named)
    }
    return isWhole ? days : nil
  }
}

extension ConfigReader {
  /// A part of the day such as `22:00-05:00`; `24:00` may stand for the end of the day.
  func dailyWindow(_ node: ConfigNode) -> DailyWindow? {
    guard let text = text(node) else { return nil }
    let whole = text.hasSuffix("-24:00") ? text.dropLast(5) + "00:00" : text
    guard let window = DailyWindow(whole) else {
      problem(
        node,
        "expected a part of the day such as \"22:00-05:00\", found \"\(SafeText.printable(text, limit: 64))\""
      )
      return nil
    }
    return window
  }
}
