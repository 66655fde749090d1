import ReplModel

/// What `status` prints.
public enum StatusReport {
  /// The text for the terminal, or JSON; with its final line feed.
  public static func text(
    _ document: StatusDocument, json: Bool, now: WallTime
  ) throws(StatusJSONError) -> String {
    guard json else { return StatusTable.render(document, now: now) + "\n" }
    return String(decoding: try StatusJSON.encode(document, now: now), as: UTF8.self)
  }
}
