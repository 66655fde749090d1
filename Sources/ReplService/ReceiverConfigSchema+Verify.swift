import ReplModel

/// `verify`: the schedule by which standbys are read again.
extension ReceiverConfigSchema {
  private static let rates: ClosedRange<Int64> = (64 << 10)...(100 << 30)

  /// Outer nil: a problem was noted. Inner nil: it is off.
  func verify(_ node: ConfigNode) -> ReceiverConfig.Verify?? {
    if case .scalar("off") = node.content { return .some(nil) }
    let keys = ["share", "window", "rate"]
    let hint = "off, or a mapping with share, window and rate"
    guard let scope = reader.mapping(node, keys: keys, hint: hint) else { return nil }
    let standard = ReceiverConfig.Verify.standard
    let share = scope.optional("share").map(self.share) ?? standard.share
    let window = scope.optional("window").map(self.window) ?? standard.window
    let rate = scope.optional("rate").map(self.rate) ?? standard.bytesPerSecond
    guard let share, let window, let rate else { return nil }
    return ReceiverConfig.Verify(share: share, window: window, bytesPerSecond: rate)
  }

  private func share(_ node: ConfigNode) -> Double? {
    guard let text = reader.text(node) else { return nil }
    guard text.hasSuffix("%"), let percent = Double(text.dropLast()), percent > 0, percent <= 100 else {
      reader.problem(
        node, "expected a share above 0% and at most 100%, found \"\(SafeText.printable(text, limit: 64))\"")
      return nil
    }
    return percent / 100
  }

  private func window(_ node: ConfigNode) -> DailyWindow? {
    guard let text = reader.text(node) else { return nil }
    guard let window = DailyWindow(text) else {
      reader.problem(
        node,
        "expected a part of the day such as \"22:00-05:00\", found \"\(SafeText.printable(text, limit: 64))\""
      )
      return nil
    }
    return window
  }

  private func rate(_ node: ConfigNode) -> Int64? {
    guard let text = reader.text(node) else { return nil }
    guard text.hasSuffix("/s"), let bytes = QuantityText.bytes(String(text.dropLast(2))),
      Self.rates.contains(bytes)
    else {
      reader.problem(
        node,
        "expected bytes a second from 64KiB/s to 100GiB/s such as 100MiB/s, found "
          + "\"\(SafeText.printable(text, limit: 64))\"")
      return nil
    }
    return bytes
  }
}
